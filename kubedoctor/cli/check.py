"""`kubedoctor check`: what is wrong with this machine and the clusters on it."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from kubedoctor.cli import outputs
from kubedoctor.cli.app import App, pass_app
from kubedoctor.errors import UsageError
from kubedoctor.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubedoctor.checks import Check
    from kubedoctor.doctor.documents import Report
    from kubedoctor.doctor.look import SharedLook
    from kubedoctor.doctor.recording import Recording
    from kubedoctor.doctor.runner import Crash
    from kubedoctor.targets import Target


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cli.completion import complete_check

    return complete_check(ctx, parameter, incomplete)


@click.command("check")
@click.argument("selectors", metavar="[SELECTOR…]", nargs=-1, shell_complete=_complete)
@click.option(
    "-o",
    "--output",
    "forms",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=outputs.complete,
    help="form of the report: text, json; several times",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="mildest finding that makes the exit status 1",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="SELECTOR,…",
    shell_complete=_complete,
    help="show what these checks find, without counting it; names of kubeadm's checks too",
)
@click.option("--phase", type=click.Choice(["preflight", "running"]), help="can a cluster start here, or: is it well")
@click.option("--strict", is_flag=True, help="exit with 4 when any check could not look")
@click.option("--record", metavar="FILE", help="write all that was seen, to be looked at with --from (.gz: compressed)")
@click.option("--from", "source", metavar="FILE", help="look at a recording instead of this machine")
@click.option("--kubeconfig", metavar="FILE", help="look at the cluster of this kubeconfig too")
@click.option("--timings", is_flag=True, help="tell which checks and facts took longest")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="for the whole run [30]"
)
@pass_app
def check(app: App, /, selectors: tuple[str, ...], **options: Any) -> int:
    """Tell what is wrong with this machine and every cluster on it.

    Without a SELECTOR, all checks run. One is the id of a check (`etcd.port-taken`), a pattern (`certs.*`), a plugin
    (`etcd`), a tag (`tag:disk`), or the name of a check of kubeadm's. Checks that others build on come along.

    Nothing is changed. Exits with 0 when all is well, 1 for findings at or above --fail-on, 3 when a check crashed,
    4 when no check could look.
    """
    this = _Run(app, selectors, Wishes(**options))
    if not app.is_program:
        return this.run()
    from kubedoctor.cli import apart

    return apart.run(app, sys.argv[1:], this.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options."""

    forms: tuple[str, ...]
    fail_on: str
    ignored: tuple[str, ...]
    phase: str | None
    strict: bool
    record: str | None
    source: str | None
    kubeconfig: str | None
    timings: bool
    timeout: float | None


class _Run:
    """One run of the command."""

    def __init__(self, app: App, selectors: tuple[str, ...], wishes: Wishes) -> None:
        self.app = app
        self.selectors = selectors
        self.wishes = wishes

    def run(self) -> int:
        """Examine, record, tell; return the exit status."""
        from kubedoctor.checks import Phase, Severity
        from kubedoctor.cli import recordings
        from kubedoctor.contributions import nothing_on_stdout
        from kubedoctor.doctor.examine import examine
        from kubedoctor.doctor.runner import SECONDS
        from kubedoctor.doctor.select import chosen, ignored, words
        from kubedoctor.doctor.verdict import exit_code

        wishes, manager = self.wishes, self.app.manager
        self._refuse_contradictions()
        places = outputs.parse(wishes.forms)
        checks = manager.checks()
        selected = chosen(checks, words(self.selectors))
        ignoring = ignored(checks, words(wishes.ignored))
        fail_on = None if wishes.fail_on == "never" else Severity(wishes.fail_on)
        recording = recordings.read(wishes.source) if wishes.source else None
        seconds = wishes.timeout or SECONDS
        until = time.monotonic() + seconds
        with nothing_on_stdout(), self._seen(recording, seconds / 2) as (look, targets):
            found = examine(
                checks,
                targets,
                look,
                selected=[one.id for one in selected],
                phases=tuple(Phase) if wishes.phase is None else (Phase(wishes.phase),),
                ignored=ignoring,
                fail_on=fail_on,
                seconds=max(until - time.monotonic(), seconds / 2),
                owner=self._owner,
                plugins=[plugin.name for plugin in manager.plugins],
                report_problem=manager.blame,
                timings=wishes.timings,
            )
            if wishes.record:
                self._record(wishes.record, look, targets)
        problems = tuple(f"{problem.owner}: {problem.message}" for problem in manager.problems)
        report = replace(found.report, problems=problems)
        for place in places:
            self._write(place, report, checks, recording)
        self._tell_crashes(found.crashes)
        return exit_code(
            report.results,
            fail_on,
            strict=wishes.strict,
            left_out=bool(problems),
            unseen=any(target.unseen for target in targets),
        )

    def _refuse_contradictions(self) -> None:
        wishes = self.wishes
        if wishes.record:
            outputs.insist_on_place(wishes.record, "--record")
        if wishes.source and (wishes.record or wishes.kubeconfig):
            other = "--record" if wishes.record else "--kubeconfig"
            raise UsageError(f"--from looks at no machine, so {other} has no meaning", hint=f"leave out {other}")

    def _seen(
        self, recording: Recording | None, seconds: float
    ) -> AbstractContextManager[tuple[SharedLook, Sequence[Target]]]:
        """Return what gives a look at the recorded machine or at this one, and what there is to look at.

        It takes *seconds* at most to find that out.
        """
        if recording is None:
            from kubedoctor.cli.survey import survey

            return survey(self.app.manager, kubeconfig=self.wishes.kubeconfig or "", seconds=seconds)
        from kubedoctor.doctor.recording import replay

        return nullcontext((replay(recording), recording.targets))

    def _owner(self, check_id: str) -> str:
        plugin = self.app.manager.owner_of(check_id)
        return plugin.owner if plugin else ""

    def _record(self, file: str, look: SharedLook, targets: Sequence[Target]) -> None:
        from importlib.metadata import version

        from kubedoctor.cli import recordings
        from kubedoctor.doctor.recording import ask_all, record

        manager = self.app.manager
        ask_all(look, manager.facts())
        recordings.write(
            file,
            record(
                look,
                targets,
                version=version("kubedoctor"),
                plugins={plugin.name: f"{plugin.distribution} {plugin.version}".strip() for plugin in manager.plugins},
                report=manager.blame,
            ),
        )
        self.app.console.say(f"recorded in {file}; look at it with kubedoctor check --from {file}")

    def _write(
        self, place: outputs.Output, report: Report, checks: Sequence[Check], recording: Recording | None
    ) -> None:
        console = self.app.console
        if place.form == "json":
            text = console.as_json(report)
        else:
            from kubedoctor.report.check_text import render

            text = "\n".join(
                render(
                    report,
                    width=80 if place.file else console.width,
                    colour=not place.file and console.style("x", "red") != "x",
                    verbose=self.app.verbose > 0,
                    complete=not self.selectors and self.wishes.phase != "running",
                    with_timings=self.wishes.timings,
                    advice={one.id: one.fix for one in checks},
                    recorded=f"recorded {report.started} by kubedoctor {recording.kubedoctor}" if recording else "",
                )
            )
        if place.file:
            outputs.write(place.file, f"{text}\n".encode())
        else:
            console.data(text)

    def _tell_crashes(self, crashes: Sequence[Crash]) -> None:
        """Write a crash file for the first of them: its traceback is what the author needs."""
        if not crashes:
            return
        from kubedoctor.cli import crash

        manager, (first, *_) = self.app.manager, crashes
        file = crash.write(crash.report(first.error, [first.job.check.id], manager.plugins, manager.problems))
        if self.app.verbose:
            self.app.console.say(crash.traceback_of(first.error))
        self.app.console.warn(
            f"{first.job.check.id} crashed",
            hint=f"details for a report to {first.job.owner or 'its author'} are in {file}" if file else "",
        )
