"""`kubedoctor status`: how the cluster is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.documents import Status
    from kubedoctor.cluster.paths import ClusterPaths
    from kubedoctor.report.status_text import Seen

_REFRESH_SECONDS = 1.0
"""How often `--watch` looks when no file changed: for times and loads, and for a keeper that was killed."""


@click.command("status")
@cluster_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="form of the answer")
@click.option("--watch", is_flag=True, help="show it again at every change, until interrupted")
@pass_app
def status(app: App, name: str, output: str, watch: bool) -> int:
    """Show how a cluster and its components are.

    Exits with 0 when the cluster is ready, with 1 when it is not. Memory is the resident set of each component, cpu the
    share of one processor since it was started.
    """
    if watch and output == "json":
        raise UsageError("--watch shows text", hint=f"kubedoctor status --name {name} --watch")
    from kubedoctor.cluster.documents import Phase
    from kubedoctor.cluster.status import existing, look

    cluster = existing(name)
    if watch:
        _watch(app, cluster)
    found = look(cluster)
    if output == "json":
        app.console.json(found)
    else:
        _show(app, found, cluster)
    return ExitCode.OK if found.phase == Phase.READY else ExitCode.NOT_WELL


def _show(app: App, found: Status, cluster: ClusterPaths) -> None:
    from kubedoctor.report.status_text import render

    console = app.console
    for line in render(found, _seen(found, cluster), colour=console.style("x", "red") != "x"):
        console.data(line)


def _seen(found: Status, cluster: ClusterPaths) -> Seen:
    from kubedoctor.cluster.paths import cache
    from kubedoctor.cluster.status import read_plan
    from kubedoctor.host.usage import proportional_memory, usage
    from kubedoctor.report.status_text import Seen

    used = {component.name: usage(component.pid, component.start_ticks) for component in found.components}
    pid = found.places[0].supervisor.pid if found.places else 0
    return Seen(
        now=time.time(),
        usage={name: numbers for name, numbers in used.items() if numbers is not None},
        supervisor_memory=proportional_memory(pid) if pid else None,
        plan=read_plan(cluster.place(found.places[0].name)) if found.places else {},
        cache=str(cache()),
    )


def _watch(app: App, cluster: ClusterPaths) -> None:
    """Show the status at every change, until the user has seen enough."""
    from kubedoctor.cluster.status import look
    from kubedoctor.report.status_text import changes, render

    console = app.console
    live = console.stdout.isatty()
    before: Status | None = None
    for _ in _changes(cluster):
        found = look(cluster)
        if live:
            lines = render(found, _seen(found, cluster), colour=console.style("x", "red") != "x")
            # From the top, each line cleared behind its text: no flicker. The lines do not wrap meanwhile.
            screen = "\x1b[H\x1b[?7l" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J\x1b[?7h"
            console.stdout.write(screen if before else f"\x1b[2J{screen}")
            console.stdout.flush()
        else:
            for line in changes(before, found, at=time.strftime("%H:%M:%S")):
                console.data(line)
            console.stdout.flush()
        before = found


def _changes(cluster: ClusterPaths) -> Iterator[None]:
    """Yield now, and then whenever state files may have changed or a second has passed."""
    from kubedoctor.host.inotify import MOVED_TO, Inotify

    try:
        inotify = Inotify()
    except OSError:  # none left: the clock alone has to do
        while True:
            yield
            time.sleep(_REFRESH_SECONDS)
    with inotify:
        if cluster.places.is_dir():
            for place in cluster.places.iterdir():
                if place.is_dir():
                    inotify.watch(place, MOVED_TO)
        while True:
            yield
            inotify.wait(_REFRESH_SECONDS)
