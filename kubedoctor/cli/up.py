"""`kubedoctor up`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.errors import end_as_interrupted
from kubedoctor.cli.options import ClusterCommand, cluster_options
from kubedoctor.errors import ComponentFailed, UsageError

if TYPE_CHECKING:
    from kubedoctor.cli.up_screen import Screen
    from kubedoctor.cluster.settling import Session

EXAMPLES = """\b
Examples:
  kubedoctor up                                     a cluster, ready when it returns
  kubedoctor up --name two                          another one beside it
  kubedoctor up --bin-dir _output/bin               your own build
  kubedoctor up --set kube-scheduler.v=6            one flag of one component
  kubedoctor up --reach webhook=9443                the API can call your host's loopback
  kubedoctor up --dry-run -o shell > up.sh          what it would run, as a script
"""


@click.command(cls=ClusterCommand, epilog=EXAMPLES)
@cluster_options
@click.option("--dry-run", is_flag=True, help="show the plan and do nothing")
@click.option("-o", "--output", type=click.Choice(["text", "json", "shell"]), default="text", help="form of --dry-run")
@click.option("--wait/--no-wait", default=True, help="return when ready (default), or when everything was started")
@click.option("--keep", is_flag=True, help="leave it running when it fails or this command is ended")
@click.option("--foreground", is_flag=True, help="stay attached; Ctrl-C stops the cluster")
@click.option(
    "--ignore",
    "ignored",
    metavar="SELECTOR,…",
    multiple=True,
    help="start in spite of what these preflight checks find; names of kubeadm's checks too",
)
@click.option("--timeline", type=click.Path(dir_okay=False, path_type=Path), help="draw the bring-up (.svg or .html)")
@pass_app
def up(
    app: App,
    flags: dict[str, object],
    dry_run: bool,
    output: str,
    wait: bool,
    keep: bool,
    foreground: bool,
    ignored: tuple[str, ...],
    timeline: Path | None,
) -> None:
    """Bring a cluster up and return when it is ready.

    On a running cluster only what differs from what is wished for now is restarted; options hold until `down`. Before
    one starts, the machine is looked at as by `kubedoctor check --phase preflight`.
    """
    from kubedoctor.cli.preflight import require
    from kubedoctor.cli.up_screen import Screen
    from kubedoctor.cluster import bringup
    from kubedoctor.cluster.settling import settle
    from kubedoctor.configuration.sudo import sudo_dropped

    if output != "text" and not dry_run:
        raise UsageError(f"-o {output} shows a plan: it goes with --dry-run")
    if timeline is not None and timeline.suffix not in (".svg", ".html"):
        raise UsageError(f"--timeline draws .svg or .html, not `{timeline.name}`")
    settled = settle(flags, os.environ)
    settled.require_files()
    dropped = sudo_dropped(os.environ)
    for note in (*settled.notes, *([dropped] if dropped else [])):
        app.console.say(f"note: {note}")
    if dry_run:
        _show_plan(app, settled, output)
        return
    patience = bringup.Wait(timeout=settled.config.timeout, wait=wait, keep=keep)
    end_as_interrupted()
    screen = Screen(app, settled, patience, timeline)
    _run(app, screen, partial(require, app, settled, ignored), attach=foreground or not settled.config.daemon)


def _run(app: App, screen: Screen, preflight: Callable[[], None], *, attach: bool) -> None:
    from kubedoctor.cluster import session

    wait = replace(screen.patience, attached=screen.stay if attach else None)
    try:
        change = session.bring_to_readiness(
            screen.settled,
            app.manager,
            wait,
            screen.tell,
            begin=screen.begin,
            preflight=preflight,
            progress=screen.binaries,
        )
    except KeyboardInterrupt:
        screen.say_interrupted()
        raise
    except ComponentFailed as problem:
        from kubedoctor.cli.diagnosis import with_cause

        raise with_cause(app, screen.settled, problem) from None
    finally:
        screen.close()
    if not attach:
        screen.say_ready(change.plan.notes)


def _show_plan(app: App, settled: Session, output: str) -> None:
    from kubedoctor.cluster import clusterfile
    from kubedoctor.cluster.prepare import choose, plan_of

    record = clusterfile.read(settled.paths)
    choice = choose(settled.resolved, settled.config, app.manager, execute=False)
    plan = plan_of(settled.config, choice, record.ports if record else {}, remember=False)
    if output == "json":
        app.console.json(plan)
    elif output == "shell":
        from kubedoctor.report.plan_shell import plan_shell

        app.console.data(
            plan_shell(plan, settled.config, choice.wanted.certificates, kubeconfigs=choice.wanted.kubeconfigs)
        )
    else:
        from kubedoctor.report.plan_text import plan_text

        app.console.data(plan_text(plan, choice.binaries))
