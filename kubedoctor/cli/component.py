"""`kubedoctor start`, `stop` and `restart` of components."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.completion import complete_cluster, complete_component
from kubedoctor.errors import KubedoctorError

LONGEST = 120.0
"""Seconds a component may take to become ready, or to end, before the command gives up on it."""


def _turning(command: Callable[..., None]) -> Callable[..., None]:
    """Add what the three commands have in common."""
    command = click.option("--name", shell_complete=complete_cluster, help="name of the cluster [local]")(command)
    argument = click.argument("components", nargs=-1, required=True, shell_complete=complete_component)
    return argument(command)


@click.command()
@_turning
@pass_app
def start(app: App, components: tuple[str, ...], name: str | None) -> None:
    """Start stopped components and return when they are ready."""
    _turn(app, "start", components, name)


@click.command()
@_turning
@pass_app
def stop(app: App, components: tuple[str, ...], name: str | None) -> None:
    """Stop components; they stay stopped until `start`, and the cluster is not ready meanwhile."""
    _turn(app, "stop", components, name)


EXAMPLES = """\b
Examples:
  kubedoctor restart kube-scheduler --binary ./kube-scheduler
  kubedoctor restart kube-controller-manager --v 6 --set concurrent-deployment-syncs=1
  kubedoctor restart kube-scheduler --set leader-elect-      take a flag out
"""


@click.command(epilog=EXAMPLES)
@_turning
@click.option("--binary", type=click.Path(exists=True, dir_okay=False), help="run this program instead")
@click.option("--set", "flags", multiple=True, metavar="FLAG=VALUE", help="set a flag; FLAG- takes it out")
@click.option("--v", "level", type=click.IntRange(0, 10), help="log level")
@click.option("--vmodule", metavar="PATTERN=N,…", help="log level by source file")
@pass_app
def restart(
    app: App,
    components: tuple[str, ...],
    name: str | None,
    binary: str | None,
    flags: tuple[str, ...],
    level: int | None,
    vmodule: str | None,
) -> None:
    """Restart components, changed if wished, and return when they are ready; changes hold until `down`."""
    changes: dict[str, object] = {}
    if binary:
        path = os.path.abspath(binary)  # noqa: PTH100 - a link may be meant
        changes["binary"] = tuple(f"{component}={path}" for component in components)
    wishes = list(flags)
    # As flags, which have the last word: an earlier `--set C.v=…` would win over `--v`.
    wishes += [f"v={level}"] if level is not None else []
    wishes += [f"vmodule={vmodule}"] if vmodule else []
    if wishes:
        changes["set"] = tuple(f"{component}.{wish}" for component in components for wish in wishes)
    if changes:
        _change(app, components, name, changes)
    else:
        _turn(app, "restart", components, name)


def _turn(app: App, verb: str, components: tuple[str, ...], name: str | None) -> None:
    from kubedoctor.cluster.session import keeper_of

    state = "stopped" if verb == "stop" else "ready"
    with keeper_of(name or "local") as keeper:
        for component in components:
            began = time.monotonic()
            keeper.request(verb, component=component, timeout=LONGEST)
            app.console.say(f"{component} is {state} ({time.monotonic() - began:.1f} s)")


def _change(app: App, components: tuple[str, ...], name: str | None, changes: dict[str, object]) -> None:
    from kubedoctor.cluster import bringup, session
    from kubedoctor.cluster.settling import read_plan, settle

    session.keeper_of(name or "local").close()
    began = time.monotonic()
    settled = settle({**changes, **({"name": name} if name else {})}, os.environ)
    settled.require_files()
    names = [c.name for c in read_plan(settled.place).components]
    for component in components:
        if component not in names:
            raise KubedoctorError(f"there is no component `{component}`", hint=f"there are {', '.join(names)}")
    session.bring_to_readiness(
        settled,
        app.manager,
        bringup.Wait(timeout=settled.config.timeout),
        lambda _event: None,
        begin=lambda _plan: None,
        forced=components,
    )
    app.console.say(f"{', '.join(components)} ready ({time.monotonic() - began:.1f} s)")
