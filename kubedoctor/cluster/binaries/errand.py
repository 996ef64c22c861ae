"""Bringing binaries into the cache: fetched side by side, and built where they cannot be fetched."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kubedoctor.cluster.binaries import gobuild, sourcebuild, store
from kubedoctor.cluster.binaries.choice import Chosen, Progress, Wanted
from kubedoctor.cluster.binaries.recipe import folder_of, source_of
from kubedoctor.cluster.binaries.versions import fill
from kubedoctor.components import Download, GoBuild, Recipe, SourceBuild
from kubedoctor.errors import KubedoctorError

if TYPE_CHECKING:
    from kubedoctor.cluster.binaries.download import Transfer

_EVERY = 0.1  # seconds between two reports of bytes
_MEGABYTE = 1e6
_R = TypeVar("_R", Download, GoBuild, SourceBuild)


class Errand:
    """Brings what is wanted. Downloads run in threads; every report is made by the thread that called `run`."""

    def __init__(self, tell: Progress) -> None:
        self._tell = tell
        self._left: dict[str, list[Recipe]] = {}
        self._versions: dict[str, str] = {}
        self._brought_by: dict[str, Recipe] = {}
        self._refused: dict[str, KubedoctorError] = {}

    def run(self, pending: Sequence[Wanted]) -> dict[str, Chosen]:
        """Return all of *pending*, in the cache; raise the KubedoctorError of the first for which no way is left."""
        self._versions = {wanted.name: str(wanted.version) for wanted in pending}
        self._left = {wanted.name: list(wanted.recipes) for wanted in pending}
        while recipes := self._next(Download):
            self._fetch(recipes)
        while builds := self._next(GoBuild):
            self._build(builds)
        while sources := self._next(SourceBuild):
            self._compile(*next(iter(sources.items())))
        return {name: self._chosen(name) for name in self._versions}

    def _chosen(self, name: str) -> Chosen:
        version, recipe = self._versions[name], self._brought_by[name]
        path = store.path_of(name, version, folder_of(recipe))
        return Chosen(name=name, path=str(path), version=version, source=source_of(recipe))

    def _next(self, kind: type[_R]) -> dict[str, _R]:
        """Return what comes next for each name that is still missing, where it is of this kind."""
        first = {name: recipes[0] for name, recipes in self._left.items() if name not in self._brought_by}
        return {name: recipe for name, recipe in first.items() if isinstance(recipe, kind)}

    def _refuse(self, names: Sequence[str], problem: KubedoctorError) -> None:
        """Take the next recipe for *names*; raise *problem* when there is none."""
        for name in names:
            self._refused[name] = problem
            del self._left[name][0]
            if not self._left[name]:
                raise problem
        self._tell(", ".join(names), f"{problem.message}; trying another way")

    # --- downloads ----------------------------------------------------------------------------------------------------

    def _fetch(self, recipes: Mapping[str, Download]) -> None:
        from kubedoctor.cluster.binaries import download  # httpx is paid for only by those who fetch

        reports: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        cancelled = threading.Event()
        waiting = self._transfers(recipes)
        with download.client() as http:

            def work(transfer: Transfer) -> None:
                failure: BaseException | None = None
                try:
                    transfer.run(http, _Meter(", ".join(transfer.members), self._tell, reports), cancelled)
                except BaseException as problem:  # handed to the thread that waits
                    failure = problem
                reports.put(lambda: ended(transfer, failure))

            def ended(transfer: Transfer, failure: BaseException | None) -> None:
                waiting.remove(transfer)
                if failure is None:
                    self._brought_by |= {name: recipes[name] for name in transfer.members}
                elif isinstance(failure, download.Unavailable):
                    self._refuse(list(transfer.members), failure)
                else:
                    raise failure

            try:
                for transfer in waiting:
                    # Daemons: one that waits for a silent server must not keep Ctrl-C from ending the program.
                    threading.Thread(target=work, args=(transfer,), daemon=True, name=f"fetch {transfer.url}").start()
                while waiting:
                    reports.get()()
            finally:
                cancelled.set()

    def _transfers(self, recipes: Mapping[str, Download]) -> list[Transfer]:
        """Return one transfer for every URL: an archive may hold several of what is wanted."""
        from kubedoctor.cluster.binaries.download import Transfer

        members: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        for name, recipe in recipes.items():
            version = self._versions[name]
            key = (fill(recipe.url, version), version, "" if recipe.member else name)
            members[key][name] = fill(recipe.member, version)
        return [
            Transfer(url, version, wanted, recipes[next(iter(wanted))]) for (url, version, _), wanted in members.items()
        ]

    # --- builds -------------------------------------------------------------------------------------------------------

    def _build(self, recipes: Mapping[str, GoBuild]) -> None:
        """Build what the first of *recipes* builds, in one go."""
        recipe, version = next((recipe, self._versions[name]) for name, recipe in recipes.items())
        names = [name for name, other in recipes.items() if _same(recipe, other) and self._versions[name] == version]
        label = f"{recipe.module} {version}"
        try:
            gobuild.build(recipe, version, names, lambda text: self._tell(label, text))
        except KubedoctorError as problem:
            earlier = next((self._refused[name] for name in names if name in self._refused), None)
            if earlier:
                problem = KubedoctorError(
                    f"{problem.message} (nor could it be fetched: {earlier.message})", hint=problem.hint
                )
            self._refuse(names, problem)
        else:
            self._brought_by |= {name: recipes[name] for name in names}

    def _compile(self, name: str, recipe: SourceBuild) -> None:
        try:
            sourcebuild.build(recipe, name, lambda text: self._tell(name, text))
        except KubedoctorError as problem:
            self._refuse([name], problem)
        else:
            self._brought_by[name] = recipe


def _same(one: GoBuild, other: GoBuild) -> bool:
    return replace(one, packages={}, suits="", version="") == replace(other, packages={}, suits="", version="")


class _Meter:
    """Turns bytes into reports with size and speed, not more of them than can be read."""

    def __init__(self, name: str, tell: Progress, reports: queue.SimpleQueue[Callable[[], None]]) -> None:
        self._name, self._tell, self._reports = name, tell, reports
        self._began = self._last = 0.0
        self._first = 0

    def __call__(self, text: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not text:
            if not self._began:
                self._began, self._first = now, done
            if now - self._last < _EVERY and done != total:
                return
            self._last = now
            speed = (done - self._first) / _MEGABYTE / max(now - self._began, 1e-3)
            of = f" of {total / _MEGABYTE:.1f}" if total else ""
            text = f"{done / _MEGABYTE:.1f}{of} MB" + (f", {speed:.1f} MB/s" if done > self._first else "")
        self._reports.put(lambda: self._tell(self._name, text, done, total))
