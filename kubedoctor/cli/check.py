"""`kubedoctor check`: what is wrong with this machine and the clusters on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubedoctor.targets import Target


@click.command("check")
@click.argument("selectors", metavar="[SELECTOR…]", nargs=-1)
@pass_app
def check(app: App, selectors: tuple[str, ...]) -> int:
    """Tell what is wrong with this machine and every cluster on it."""
    from kubedoctor.doctor.examine import could_tell, examine, is_failing
    from kubedoctor.doctor.look import SharedLook
    from kubedoctor.doctor.select import chosen, words
    from kubedoctor.report.check_text import render

    manager = app.manager
    checks = manager.checks()
    selected = chosen(checks, words(selectors))
    found = examine(checks, _targets(), SharedLook(), selected=[one.id for one in selected])
    for line in render(found.report, verbose=app.verbose > 0):
        app.console.data(line)
    from kubedoctor.checks import Severity

    if is_failing(found.report.results, Severity.ERROR):
        return ExitCode.NOT_WELL
    return ExitCode.OK if could_tell(found.report.results) else ExitCode.CANNOT_TELL


def _targets() -> Sequence[Target]:
    from kubedoctor.targets import Target, TargetKind

    return (Target(id="machine", kind=TargetKind.MACHINE, title="this machine"),)
