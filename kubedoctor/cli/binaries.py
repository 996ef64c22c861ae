"""`kubedoctor binaries`: what there is to run, getting it, building it, and making room again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.console import table
from kubedoctor.cli.options import ClusterCommand, cluster_parameters
from kubedoctor.errors import KubedoctorError, UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.binaries.choice import Chosen
    from kubedoctor.cluster.binaries.store import Entry
    from kubedoctor.components import Candidate
    from kubedoctor.config import ClusterConfig

_CHOOSING = ("config", "kubernetes", "binary", "bin_dir", "checkout", "download", "build")
"""The options of a cluster that bear on binaries."""

_MEGABYTE = 1e6


def _options(*, without: Iterable[str] = ()) -> list[click.Parameter]:
    return [made for made in cluster_parameters() if made.name in _CHOOSING and made.name not in without]


def _output() -> click.Option:
    return click.Option(
        ["-o", "--output"], type=click.Choice(["text", "json"]), default="text", help="form of the list"
    )


def _names() -> click.Argument:
    return click.Argument(["names"], nargs=-1, metavar="[NAME]…")


@click.group(
    help="Show and get the binaries that clusters are made of. They are looked for in this order: --binary, "
    "--bin-dir, a Kubernetes checkout, the cache, $KUBEBUILDER_ASSETS, $PATH. What is in none of them is downloaded "
    "or built from Go modules."
)
def binaries() -> None:
    """Show and get binaries."""


@binaries.command(
    "list",
    cls=ClusterCommand,
    params=[_names(), _output(), *_options()],
    help="List the binaries there are, all of them or those named; `*` marks what `up` would run.",
)
@pass_app
def list_binaries(app: App, /, names: tuple[str, ...], output: str, **options: object) -> None:
    """List what there is."""
    config = _config(options)
    chosen = _would_run(app, config, names)
    rows = _rows(app, config, names, {(binary.name, binary.path) for binary in chosen if not binary.pending})
    if output == "json":
        app.console.json({"schema_version": 1, "kind": "Binaries", "binaries": rows})
        return
    shown = [
        ("*" if r["chosen"] else "", r["name"], r["version"] or "unknown", r["source"], _size(r["size"]), r["path"])
        for r in rows
    ]
    if shown:
        app.console.data(table(shown, ("", "name", "version", "source", "size", "path"), align="llllr"))
    for binary in chosen:
        if binary.pending:
            app.console.say(f"{binary.name}: {binary.pending}")


@binaries.command(
    "get",
    cls=ClusterCommand,
    params=[_names(), _output(), *_options()],
    help="Make sure that binaries are there, all that `up` needs or those named, and tell where.",
)
@pass_app
def get(app: App, /, names: tuple[str, ...], output: str, **options: object) -> None:
    """Fetch or build what is missing."""
    config = _config(options)
    _tell(app, _provide(app, config, names), output)


@binaries.command(
    "build",
    cls=ClusterCommand,
    params=[_names(), _output(), *_options(without=("binary", "bin_dir", "checkout", "download", "build"))],
    help="Build binaries from Go modules into the cache, even where others could be found or downloaded. What is in "
    "the cache already is not built again.",
)
@pass_app
def build(app: App, /, names: tuple[str, ...], output: str, **options: object) -> None:
    """Build what is not in the cache."""
    from kubedoctor.components import GoBuild

    config = replace(_config(options), binary={}, bin_dir="", checkout="", download=False, build=True)
    if not config.kubernetes:
        recipes = app.manager.binaries("kube-apiserver", config)
        config = replace(config, kubernetes=next((r.version for r in recipes if isinstance(r, GoBuild)), ""))
    _tell(app, _provide(app, config, names, only_builds=True), output)


@binaries.command(
    "prune",
    params=[
        click.Option(["--dry-run"], is_flag=True, help="tell what would be removed, remove nothing"),
        click.Option(["--all", "everything"], is_flag=True, help="keep only what runs now"),
        _output(),
    ],
    help="Remove from the cache what is not used: binaries other than those of the default versions and of clusters "
    "that exist, and what interrupted downloads and builds left.",
)
@pass_app
def prune(app: App, dry_run: bool, everything: bool, output: str) -> None:
    """Make room."""
    from kubedoctor.cluster.binaries import store
    from kubedoctor.cluster.binaries.usage import in_use

    kept = in_use(running_only=everything)
    if not everything:
        kept |= _defaults(app, store.entries())
    removed = store.prune(kept, dry_run=dry_run)
    if output == "json":
        app.console.json({"schema_version": 1, "kind": "Pruned", "dry_run": dry_run, "binaries": removed})
        return
    for entry in removed:
        app.console.data(f"{entry.name} {entry.version}  {_size(entry.size)}")
    size = _size(sum(entry.size for entry in removed))
    app.console.say(f"{size} {'would be freed' if dry_run else 'freed'}" if removed else "nothing to remove")


def _config(options: dict[str, object]) -> ClusterConfig:
    from kubedoctor.cluster.paths import home
    from kubedoctor.configuration.layers import load

    given = {name: value for name, value in options.items() if value is not None and value != ()}
    return load(given, home=home()).config


def _wanted(app: App, config: ClusterConfig, names: Sequence[str]) -> list[str]:
    """Return *names*, or if empty those of all components and kubectl; raise UsageError for an unknown one."""
    if names:
        for name in names:
            if not app.manager.binaries(name, config) and name not in config.binary:
                raise UsageError(
                    f"no plugin knows a binary `{name}`", hint="`kubedoctor binaries list` shows those there are"
                )
        return list(names)
    components = app.manager.components(config).components
    return sorted({component.binary for component in components.values()} | {"kubectl"})


def _provide(
    app: App, config: ClusterConfig, names: Sequence[str], *, only_builds: bool = False, execute: bool = True
) -> list[Chosen]:
    from kubedoctor.cluster.binaries.provide import provide
    from kubedoctor.components import GoBuild, SourceBuild
    from kubedoctor.report.fetch_lines import FetchLines

    def candidates(name: str) -> list[Candidate]:
        found = app.manager.binaries(name, config)
        return [c for c in found if isinstance(c, (GoBuild, SourceBuild))] if only_builds else found

    wanted = _wanted(app, config, names)
    if app.console.quiet or not execute:
        return list(provide(wanted, config, candidates, execute=execute).values())
    with FetchLines(app.console.stderr, app.console.is_live) as lines:
        return list(provide(wanted, config, candidates, progress=lines).values())


def _would_run(app: App, config: ClusterConfig, names: Sequence[str]) -> list[Chosen]:
    try:
        return _provide(app, config, names, execute=False)
    except UsageError:
        raise
    except KubedoctorError as problem:  # the list shows why
        app.console.warn(problem.message, hint=problem.hint)
        return []


def _rows(
    app: App, config: ClusterConfig, names: Sequence[str], chosen: set[tuple[str, str]]
) -> list[dict[str, object]]:
    from pathlib import Path

    from kubedoctor.cluster.binaries import store
    from kubedoctor.cluster.binaries.probe import version_of
    from kubedoctor.components import Found, Source

    cached = store.entries()
    rows = []
    for name in sorted({*_wanted(app, config, names), *(() if names else (entry.name for entry in cached))}):
        places = [(e.path, Source.CACHE, e.version) for e in cached if e.name == name]
        if name in config.binary:
            places.append((Path(config.binary[name]), Source.USER, ""))
        places += [(Path(c.path), c.source, "") for c in app.manager.binaries(name, config) if isinstance(c, Found)]
        for path, source, version in sorted(places, key=lambda place: list(Source).index(place[1])):
            rows.append(
                {
                    "name": name,
                    "version": version or version_of(str(path), name),
                    "source": source,
                    "path": path,
                    "size": path.stat().st_size if path.is_file() else 0,
                    "chosen": (name, str(path)) in chosen,
                }
            )
    return rows


def _defaults(app: App, entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Return the (folder, version) of those *entries* that plugins have recipes for by default."""
    from kubedoctor.cluster.binaries.recipe import folder_of
    from kubedoctor.components import Found

    config = _config({})
    recipes = {entry.name: app.manager.binaries(entry.name, config) for entry in entries}
    return {
        (folder_of(recipe) or name, recipe.version)
        for name, found in recipes.items()
        for recipe in found
        if not isinstance(recipe, Found)
    }


def _tell(app: App, chosen: Sequence[Chosen], output: str) -> None:
    if output == "json":
        app.console.json({"schema_version": 1, "kind": "Binaries", "binaries": chosen})
        return
    rows = [(binary.name, binary.version or "unknown", binary.source, binary.path) for binary in chosen]
    app.console.data(table(rows, ("name", "version", "source", "path")))


def _size(size_bytes: object) -> str:
    return f"{int(str(size_bytes)) / _MEGABYTE:.1f} MB"
