"""What a person sees of `up`: fetching, components coming up, ready, what to do next."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cli.app import App
from kubedoctor.report.fetch_lines import FetchLines

if TYPE_CHECKING:
    from kubedoctor.cluster.bringup import Wait
    from kubedoctor.cluster.control import ControlClient
    from kubedoctor.cluster.documents import Event, Plan
    from kubedoctor.cluster.settling import Session
    from kubedoctor.report.progress import Progress


class Screen:
    """The display of one `up`, from its first line to its last."""

    def __init__(self, app: App, settled: Session, patience: Wait, timeline: Path | None) -> None:
        self.settled = settled
        self.patience = patience
        self.binaries = FetchLines(app.console.stderr, app.console.is_live)
        self._app = app
        self._timeline = timeline
        self._began = time.monotonic()
        self._plan: Plan | None = None  # once something is started or changed
        self._progress: Progress | None = None

    def begin(self, plan: Plan) -> None:
        """Show that what is in *plan* is about to be started or changed."""
        self._plan = plan
        self.binaries.close()
        if not self._app.console.quiet:
            _introduce(self._app, plan)
            self._progress = _progress(self._app, plan)

    def tell(self, event: Event) -> None:
        """Show an event of the place."""
        if self._progress is not None:
            self._progress.update(event)

    def close(self) -> None:
        """Show no more changes."""
        self.binaries.close()
        if self._progress is not None:
            self._progress.close()

    def say_ready(self, notes: tuple[str, ...]) -> None:
        """Tell that it is done, and what to do next."""
        self.close()
        console = self._app.console
        if self._plan is None:
            name = self.settled.config.name
            console.say(f"cluster `{name}` is ready already; nothing differs from what is wished for")
        elif self.patience.wait:
            console.say(f"\nready in {time.monotonic() - self._began:.1f} s")
        for note in notes:
            console.say(f"note: {note}")
        _say_what_next(self._app, self.settled)
        if self._timeline is not None:
            from kubedoctor.report.timeline import draw

            draw(self.settled.place.events, self._timeline)
            console.say(f"  {self._timeline} shows the bring-up")

    def say_interrupted(self) -> None:
        """Tell what an interrupt has led to."""
        outcome = "what runs was left running (--keep)" if self.patience.keep else "what was started is stopped again"
        self._app.console.say(f"\ninterrupted; {outcome if self._plan else 'nothing was started'}")

    def stay(self, keeper: ControlClient) -> None:
        """Tell what ends until the cluster does: as local-up-cluster.sh does."""
        from kubedoctor.cluster.documents import Event
        from kubedoctor.jsonform import from_json

        self.say_ready(self._plan.notes if self._plan else ())
        self._app.console.say("\nattached: Ctrl-C stops the cluster")
        for message in keeper.events(1 << 60):
            event = from_json(Event, message)
            if event.exit:
                self._app.console.say(f"{event.component}: {event.exit}, {event.state}")


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

    names = [*(one.name for one in plan.components), *(one.name for one in plan.manifests if one.ready)]
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
