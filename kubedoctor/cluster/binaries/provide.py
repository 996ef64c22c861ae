"""Making sure that binaries are there: choose, then fetch side by side, then build what could not be fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kubedoctor.cluster.binaries import gobuild, store
from kubedoctor.cluster.binaries.choice import Candidates, Choice, Chosen, Progress, Wanted, check_directories
from kubedoctor.cluster.binaries.errand import Errand
from kubedoctor.cluster.binaries.recipe import folder_of, source_of
from kubedoctor.cluster.binaries.skew import APISERVER, KUBERNETES, check_skew
from kubedoctor.cluster.binaries.versions import Version, Wish, fill
from kubedoctor.components import Candidate, Download, Found, GoBuild, Recipe, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError, PlanError


def provide(
    names: Iterable[str],
    config: ClusterConfig,
    candidates: Candidates,
    *,
    execute: bool = True,
    progress: Progress | None = None,
) -> dict[str, Chosen]:
    """Return for each of *names* the binary to run, fetched or built if need be.

    *candidates* gives what plugins offer for a name. All Kubernetes binaries are of one version, that of the first in
    `KUBERNETES` that is wanted; the user's own may differ as far as Kubernetes allows. With *execute* false nothing at
    all is fetched, built or written: what would be is said in `Chosen.pending`. Raise UsageError, PlanError and
    KubedoctorError.
    """
    wanted = list(dict.fromkeys(names))
    check_directories(config)
    tell = progress or _quiet
    offers = _Remembered(candidates)
    wish = Wish.parse(config.kubernetes)
    if wish.latest and execute:
        wish = Wish(_look_up(wish, [c for c in offers(APISERVER) if not isinstance(c, Found)], config, tell))
    choice = Choice(config, offers, wish, remember=execute, tell=tell)
    outcome: dict[str, Chosen | Wanted] = {}
    # Kubernetes first, in the order in which they settle the version: what suits of the others depends on it.
    for name in sorted(wanted, key=lambda n: KUBERNETES.index(n) if n in KUBERNETES else len(KUBERNETES)):
        decided = choice.of(name)
        if isinstance(decided, Wanted) and isinstance(decided.version, Wish) and execute:
            decided = replace(decided, version=_look_up(decided.version, decided.recipes, config, tell))
        outcome[name] = decided
        version = Version.parse(decided.version) if isinstance(decided, Chosen) else decided.version
        if name in KUBERNETES and choice.kubernetes is None and isinstance(version, Version):
            choice.settle(version)
    check_skew({name: str(outcome[name].version) for name in wanted})
    if not execute:
        return {name: d if isinstance(d := outcome[name], Chosen) else _announce(d) for name in wanted}
    pending = [decided for decided in outcome.values() if isinstance(decided, Wanted)]
    brought = Errand(tell).run(pending) if pending else {}
    return {name: d if isinstance(d := outcome[name], Chosen) else brought[name] for name in wanted}


class _Remembered:
    """Asks plugins once for each name."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._known: dict[str, list[Candidate]] = {}

    def __call__(self, name: str) -> list[Candidate]:
        if name not in self._known:
            self._known[name] = list(self._candidates(name))
        return self._known[name]


def _quiet(name: str, text: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


def _look_up(wish: Wish, recipes: Sequence[Recipe], config: ClusterConfig, tell: Progress) -> Version:
    """Return the newest version that meets *wish*, asked of where it would be fetched from."""
    from kubedoctor.cluster.binaries import download

    problems = []
    for recipe in recipes:
        try:
            if isinstance(recipe, GoBuild) and config.build:
                tell(recipe.module, f"looking up {wish}")
                text = gobuild.newest(recipe.module, wish)
            elif isinstance(recipe, Download) and config.download and recipe.newest_url:
                tell(f"Kubernetes {wish}", "looking it up")
                minor = f"-{wish.version.major}.{wish.version.minor}" if wish.version else ""
                with download.client() as http:
                    text = download.read(http, recipe.newest_url.replace("{minor}", minor)).strip()
            else:
                continue
        except KubedoctorError as problem:
            problems.append(problem.message)
            continue
        version = Version.parse(text)
        if version and (wish.latest or wish.met_by(version)):
            return version
        problems.append(f"`{text[:60]}` is not a version of {wish}")
    why = "; ".join(problems) or "downloads and builds are off"
    raise PlanError(f"the newest version of Kubernetes {wish} cannot be looked up: {why}", hint="name an exact version")


def _announce(wanted: Wanted) -> Chosen:
    """Return what would be done for *wanted*. A newest version that is not looked up stands as the one known of."""
    recipe, version = wanted.recipes[0], wanted.version
    known = str(version)
    if isinstance(version, Wish):
        known = str(version.version or recipe.version)
        of = f"{version}" if version.any_patch else ""
        if isinstance(recipe, GoBuild):
            text = f"would build the newest {recipe.module} {of}".rstrip()
        else:
            text = f"would download the newest {wanted.name} {of}".rstrip()
    elif isinstance(recipe, GoBuild):
        text = f"would build {recipe.module} {known}"
    elif isinstance(recipe, SourceBuild):
        text = f"would compile {recipe.file}"
    else:
        text = f"would download {wanted.name} {known} from {fill(recipe.url, known)}"
    path = str(store.path_of(wanted.name, known, folder_of(recipe)))
    return Chosen(name=wanted.name, path=path, version=known, source=source_of(recipe), pending=text)
