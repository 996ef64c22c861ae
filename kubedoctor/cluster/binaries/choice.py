"""Which of all candidates is taken for each binary. Nothing is fetched or built here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from kubedoctor.cluster.binaries import probe, store
from kubedoctor.cluster.binaries.fitness import unfit
from kubedoctor.cluster.binaries.recipe import any_version, brings, folder_of, serves, source_of
from kubedoctor.cluster.binaries.skew import APISERVER, KUBERNETES, skew_problem
from kubedoctor.cluster.binaries.versions import Version, Wish
from kubedoctor.components import Candidate, Download, Found, Recipe, Source
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import PlanError, UsageError
from kubedoctor.records import dataclass

Candidates = Callable[[str], Sequence[Candidate]]

_GIVEN = (Source.USER, Source.BIN_DIR, Source.CHECKOUT)  # the user's own: may differ as far as Kubernetes' rules allow


class Progress(Protocol):
    """Is told what happens: to which binary, or module and version; `done` of `total` bytes where bytes come in."""

    def __call__(self, name: str, text: str, done: int = 0, total: int = 0) -> None:
        """Take notice; always called by the thread that asked for the binaries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The binary to run. `version` is empty when it tells none; `pending` says what must be done before it is there."""

    name: str
    path: str
    version: str
    source: Source
    pending: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A binary to be fetched or built by one of `recipes`, in order.

    `version` is exact, or a wish still to be looked up; for others than Kubernetes it is what the recipe calls it.
    """

    name: str
    version: Version | Wish | str
    recipes: tuple[Recipe, ...]


@dataclass(slots=True)
class Choice:
    """Chooses one binary after the other; what was passed over is told, and named if nothing is left in the end.

    `wish` is what the user asks of Kubernetes. `settle` is called with the first Kubernetes binary: `kubernetes` then
    is its version, and `others` the one that the others are wanted in. `folders` holds the first of those that belong
    together.
    """

    config: ClusterConfig
    candidates: Candidates
    wish: Wish
    remember: bool
    tell: Progress | None = None
    kubernetes: Version | None = None
    others: Version | None = None
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, Chosen | Wanted] = field(default_factory=dict)

    def settle(self, version: Version) -> None:
        """Take *version* for the whole release.

        Nobody but its developer has an unstamped build or one between two releases, so beside those the default version
        is wanted, as far as Kubernetes allows it.
        """
        self.kubernetes = self.others = version
        if version.build or not version.stamped:
            released = self.wish.version if self.wish.version and not self.wish.any_patch else self._default
            refused = skew_problem({APISERVER: str(version), KUBERNETES[1]: str(released or "")})
            self.others = None if refused else released

    def of(self, name: str) -> Chosen | Wanted:
        """Return what is there already and fits, else what to fetch or build; raise PlanError when there is neither."""
        offered = list(self.candidates(name))
        found = [candidate for candidate in offered if isinstance(candidate, Found)]
        if path := self.config.binary.get(name):
            found.append(Found(path=str(Path(path).expanduser().absolute()), source=Source.USER))
        release = self.kubernetes or self.wish.version or self._default
        recipes = [r for r in offered if not isinstance(r, Found) and serves(r, name, release)]
        folder = next(filter(None, map(folder_of, recipes)), "")
        first = self.folders.get(folder)
        there = self._there(name, found, recipes, first)
        decided = there or self._recipe(name, recipes, first, known=bool(offered))
        if folder:
            self.folders.setdefault(folder, decided)
        return decided

    def _there(
        self, name: str, found: list[Found], recipes: Sequence[Recipe], first: Chosen | Wanted | None
    ) -> Chosen | None:
        """Return the first file that fits; beside *first*, which it belongs to, if there is one."""
        order = list(Source)
        for source in order[: order.index(Source.DOWNLOAD)]:
            there = [file for file in found if file.source is source]
            if source is Source.BIN_DIR and isinstance(first, Chosen):
                there += _beside(first, name)
            taken = self._cached(name, recipes, first) if source is Source.CACHE else self._first(name, there, first)
            if taken:
                return taken
        return None

    @property
    def _default(self) -> Version | None:
        """The Kubernetes version that is taken without a wish, as the recipes of kube-apiserver say."""
        recipes = (c for c in self.candidates(APISERVER) if not isinstance(c, Found))
        return next((Version.parse(recipe.version) for recipe in recipes), None)

    def _first(self, name: str, found: Iterable[Found], first: Chosen | Wanted | None) -> Chosen | None:
        for candidate in found:
            path, source = candidate.path, candidate.source
            if problem := probe.unusable(path) or unfit(path, name, remember=self.remember):
                if source is Source.USER:
                    raise UsageError(
                        f"the binary given for {name}, `{path}`, {problem}",
                        hint=f"name a program that serves on this machine: --binary {name}=PATH",
                    )
                self._pass_over(name, source, f"{path} {problem}")
                continue
            version = probe.version_of(path, name, remember=self.remember)
            problem = self._misfit(name, version, source) or _mismatch(version, source, first)
            if not problem:
                return Chosen(name=name, path=path, version=version, source=source)
            if source is Source.USER:
                raise PlanError(
                    f"the binary given for {name}, `{path}`, does not fit: {problem}",
                    hint="choose another one with --binary, or leave --kubernetes out to take it as it is",
                )
            self._pass_over(name, source, f"{path} ({version or 'version unknown'}): {problem}")
        return None

    def _pass_over(self, name: str, source: Source, why: str) -> None:
        self.passed_over.setdefault(name, []).append(why)
        if self.tell and source in _GIVEN:  # what lies around elsewhere is no news
            self.tell(name, f"passed over {why}")

    def _misfit(self, name: str, text: str, source: Source) -> str:
        """Return why a binary of version *text* cannot be the one, empty when it can."""
        version = Version.parse(text)
        if name not in KUBERNETES:
            return _first_line(skew_problem({APISERVER: str(self.kubernetes or ""), name: text}))
        known = version is not None and version.stamped
        if not known:  # a developer's own build without link flags: who names it knows it
            return "" if source in _GIVEN and (source is Source.USER or not self.wish) else f"{self._asked()} is wanted"
        assert version is not None  # noqa: S101 - said by `known`
        settled = self.kubernetes
        if settled is None:
            return "" if self.wish.met_by(version) else f"{self._asked()} is wanted"
        if source not in _GIVEN:
            return "" if version in (settled, self.others) else f"{self._asked()} is wanted"
        if source is not Source.USER and self.wish and not self.wish.met_by(version):
            return f"{self._asked()} is wanted"
        return _first_line(skew_problem({APISERVER: str(settled), name: text}))

    def _asked(self) -> str:
        return str(self.others or self.kubernetes or self.wish)

    def _cached(self, name: str, recipes: Sequence[Recipe], first: Chosen | Wanted | None) -> Chosen | None:
        """Return the cached binary that fits; of others than Kubernetes, what a recipe would bring or a patch of it."""
        entries = store.entries(name)
        if wanted := first and Version.parse(str(first.version)):
            entries = [e for e in entries if recipes and Version.parse(e.version) == wanted]
        elif name not in KUBERNETES:
            exact = [recipe.version for recipe in recipes]
            lines = [v.line for r in recipes if any_version(r) and (v := Version.parse(r.version))]
            entries = [
                e for e in entries if e.version in exact or ((v := Version.parse(e.version)) and v.line in lines)
            ]
            entries.sort(key=lambda entry: entry.version not in exact)  # else the newest comes first, as they came
        elif self.kubernetes and not self.others:
            return None
        else:
            wished = Wish(self.others) if self.others else self.wish
            entries = [e for e in entries if recipes and (v := Version.parse(e.version)) and wished.met_by(v)]
            if not wished:  # the default, then the newest release, then what is newer still
                defaults = {recipe.version for recipe in recipes}
                entries.sort(key=lambda entry: (entry.version not in defaults, "-" in entry.version))
        return next((_chosen_from_cache(entry) for entry in entries), None)

    def _recipe(self, name: str, recipes: Sequence[Recipe], first: Chosen | Wanted | None, *, known: bool) -> Wanted:
        allowed = [r for r in recipes if (self.config.download if isinstance(r, Download) else self.config.build)]
        allowed.sort(key=lambda recipe: source_of(recipe) is Source.BUILD)
        version = (first and Version.parse(str(first.version))) or self._version(name, recipes)
        usable = tuple(r for r in allowed if brings(r, str(version)))
        if version is None or not usable:
            raise self._nothing(name, version, recipes, known=known)
        return Wanted(name=name, version=version, recipes=usable)

    def _version(self, name: str, recipes: Sequence[Recipe]) -> Version | Wish | str | None:
        default = recipes[0].version if recipes else None
        if name not in KUBERNETES:
            return default
        if self.kubernetes:
            return self.others
        open_wish = self.wish.any_patch or self.wish.latest
        return self.wish if open_wish else self.wish.version or Version.parse(default or "")

    def _nothing(self, name: str, version: object, recipes: Sequence[Recipe], *, known: bool) -> PlanError:
        beside = f" that may run with kube-apiserver {self.kubernetes}" if self.kubernetes else ""
        which = f" {version}" if version else beside
        why = "no plugin knows where it comes from" if not known else "it is in none of the places looked at"
        if recipes:
            off = [word for word, on in (("downloads", self.config.download), ("builds", self.config.build)) if not on]
            why += f", and {' and '.join(off)} are off" if off else ""
        seen = [f"passed over {why}" for why in self.passed_over.get(name, ())]
        ways = f"name it with --binary {name}=PATH, or the directory it is in with --bin-dir"
        return PlanError(f"there is no {name}{which}: {why}", hint="\n".join([*seen, ways]))


def _beside(first: Chosen, name: str) -> list[Found]:
    """Return the binary *name* in the directory of the one it belongs to; those of the cache are found by version."""
    path = Path(first.path).with_name(name)
    if first.source is Source.CACHE or not os.path.lexists(path):
        return []
    # Nobody gave it by name: what is wrong with it is no reason to stop.
    return [Found(path=str(path), source=Source.BIN_DIR if first.source is Source.USER else first.source)]


def _mismatch(text: str, source: Source, first: Chosen | Wanted | None) -> str:
    """Return why a binary of version *text* cannot be beside *first*; the user's own are left to the user."""
    if first is None or source in _GIVEN:
        return ""
    version, wanted = Version.parse(text), Version.parse(str(first.version))
    return f"{first.name} is {wanted}" if version and wanted and version != wanted else ""


def _chosen_from_cache(entry: store.Entry) -> Chosen:
    return Chosen(name=entry.name, path=str(entry.path), version=entry.version, source=Source.CACHE)


def check_directories(config: ClusterConfig) -> None:
    """Raise UsageError for directories of the user that are not there: they would be passed over in silence."""
    for option, value in (("--bin-dir", config.bin_dir), ("--checkout", config.checkout)):
        if value and not Path(value).expanduser().is_dir():
            raise UsageError(f"{option} `{value}` is not a directory")
    mark = "hack/local-up-cluster.sh"
    if config.checkout and not os.path.lexists(Path(config.checkout).expanduser() / mark):
        raise UsageError(f"--checkout `{config.checkout}` is not a Kubernetes checkout: it has no {mark}")


def _first_line(problem: tuple[str, str] | None) -> str:
    return problem[0] if problem else ""
