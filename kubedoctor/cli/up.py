"""`kubedoctor up`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.errors import end_as_interrupted
from kubedoctor.cli.options import ClusterCommand, cluster_options
from kubedoctor.errors import UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.bringup import Wait
    from kubedoctor.cluster.documents import Event, Plan
    from kubedoctor.cluster.session import Session
    from kubedoctor.report.progress import Progress

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
    timeline: Path | None,
) -> None:
    """Bring a cluster up and return when it is ready.

    On a running cluster only what differs from what is wished for now is restarted; options hold until `down`.
    """
    from kubedoctor.cluster import bringup, session
    from kubedoctor.configuration.sudo import sudo_dropped

    if output != "text" and not dry_run:
        raise UsageError(f"-o {output} shows a plan: it goes with --dry-run")
    if timeline is not None and timeline.suffix not in (".svg", ".html"):
        raise UsageError(f"--timeline draws .svg or .html, not `{timeline.name}`")
    settled = session.settle(flags, os.environ)
    settled.require_files()
    dropped = sudo_dropped(os.environ)
    for note in (*settled.notes, *([dropped] if dropped else [])):
        app.console.say(f"note: {note}")
    if dry_run:
        _show_plan(app, settled, output)
        return
    patience = bringup.Wait(timeout=settled.config.timeout, wait=wait, keep=keep)
    _run(app, settled, patience)
    if timeline is not None:
        _draw(settled, timeline)
        app.console.say(f"  {timeline} shows the bring-up")
    if foreground or not settled.config.daemon:
        _stay(app, settled)


def _run(app: App, settled: Session, patience: Wait) -> None:
    from kubedoctor.cluster import session
    from kubedoctor.report.fetch_lines import FetchLines

    began = time.monotonic()
    began_with: list[Plan] = []
    shown: list[Progress] = []

    def begin(plan: Plan) -> None:
        began_with.append(plan)
        if not app.console.quiet:
            _introduce(app, plan)
            shown.append(_progress(app, plan))

    def tell(event: Event) -> None:
        for display in shown:
            display.update(event)

    end_as_interrupted()
    binaries = FetchLines(app.console.stderr, app.console.is_live)
    try:
        change = session.bring_to_readiness(settled, app.manager, patience, tell, begin=begin, progress=binaries)
    except KeyboardInterrupt:
        outcome = "what runs was left running (--keep)" if patience.keep else "what was started is stopped again"
        app.console.say(f"\ninterrupted; {outcome}" if began_with else "\ninterrupted; nothing was started")
        raise
    finally:
        binaries.close()
        for display in shown:
            display.close()
    if not began_with:
        app.console.say(f"cluster `{settled.config.name}` is ready already; nothing differs from what is wished for")
    elif patience.wait:
        app.console.say(f"\nready in {time.monotonic() - began:.1f} s")
    for note in change.plan.notes:
        app.console.say(f"note: {note}")
    _say_what_next(app, settled)


def _introduce(app: App, plan: Plan) -> None:
    place = "in a sandbox" if plan.place_kind == "sandbox" else "on the host"
    folders = {
        str(Path(component.binary).parent) for component in plan.components if component.version == plan.kubernetes
    }
    source = f" from {folders.pop()}" if len(folders) == 1 else ""
    if "/.cache/" in source or "/kubedoctor/bin/" in source:
        source = ""
    app.console.say(f'kubernetes {plan.kubernetes or "(none)"}{source}, {place}, cluster "{plan.cluster}"\n')


def _progress(app: App, plan: Plan) -> Progress:
    from kubedoctor.report.progress import Progress

    names = [component.name for component in plan.components]
    display = Progress(app.console.stderr, names, app.console.is_live)
    display.__enter__()
    return display


def _say_what_next(app: App, settled: Session) -> None:
    name, program = settled.config.name, _program()
    option = "" if name == "local" else f" --name {name}"
    rows = (
        (f'eval "$({program} env{option})"', "use kubectl with it"),
        (f"{program} logs -f{option}", "follow every component"),
        (f"{program} down{option}", "stop it; nothing is left behind"),
    )
    width = max(len(command) for command, _ in rows)
    app.console.say()
    for command, effect in rows:
        app.console.say(f"  {command:<{width}}   {effect}")


def _program() -> str:
    """Return what to type to run this program again: its name where the PATH leads to it, else as it was called."""
    called = Path(sys.argv[0])
    if called.name != "kubedoctor":  # python -m kubedoctor
        return "kubedoctor"
    found = shutil.which("kubedoctor")
    return "kubedoctor" if found and Path(found).resolve() == called.resolve() else str(called)


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


def _draw(settled: Session, file: Path) -> None:
    from kubedoctor.report.timeline import draw

    draw(settled.place.events, file)


def _stay(app: App, settled: Session) -> None:
    """Follow the cluster until it ends or is interrupted, which stops it: as local-up-cluster.sh does."""
    from kubedoctor.cluster import bringup
    from kubedoctor.cluster.control import ControlClient
    from kubedoctor.cluster.documents import Event
    from kubedoctor.jsonform import from_json

    with ControlClient(settled.place.socket) as keeper:
        try:
            app.console.say("\nattached: Ctrl-C stops the cluster")
            for message in keeper.events(1 << 60):
                event = from_json(Event, message)
                if event.exit:
                    app.console.say(f"{event.component}: {event.exit}, {event.state}")
        except KeyboardInterrupt:
            app.console.say("stopping …")
            with ControlClient(settled.place.socket) as other:
                bringup.stop(other, settled.place)
            raise
