"""What the doctor's preflight checks find before a cluster starts: an error stops `up`, a warning is a note."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from kubedoctor.errors import PreflightFailed

if TYPE_CHECKING:
    from kubedoctor.cli.app import App
    from kubedoctor.cluster.settling import Session
    from kubedoctor.doctor.documents import Cause, Report, ReportedTarget

SECONDS = 2.0
"""What has not answered by then is not waited for; on a quiet machine all of them need 0.1."""

ELSEWHERE = ("port-taken", "data-dir-in-use")
"""Problems that starting itself finds, and surely: ports are bound, directories locked, by whoever will use them."""


def require(app: App, settled: Session, ignored: Sequence[str]) -> None:
    """Tell of warnings; raise PreflightFailed for errors of checks that *ignored* does not mean.

    Not in a thread of its own: whoever starts a cluster forks, and a fork takes the locks along that a thread holds.
    """
    passed_over = _chosen(app, ignored)
    report = _looked(app, settled)
    if report is None:
        return
    errors = [cause for cause in report.causes if cause.severity == "error" and cause.id not in passed_over]
    for cause in report.causes:
        if cause not in errors and cause.severity != "info":
            app.console.say(f"warning: {cause.message}   {cause.id}")
    if errors:
        raise _failure(errors, report.targets[0])


def _looked(app: App, settled: Session) -> Report | None:
    """Return what the checks found, None where no plan can be made: whoever plans in earnest tells why."""
    from kubedoctor.checks import Phase
    from kubedoctor.cli.targets import planned_machine
    from kubedoctor.doctor.examine import examine
    from kubedoctor.doctor.look import SharedLook
    from kubedoctor.errors import KubedoctorError

    checks = app.manager.checks()
    selected = [one.id for one in checks if Phase.PREFLIGHT in one.phases and not one.id.endswith(ELSEWHERE)]
    try:
        machine = planned_machine(settled, app.manager)
    except (KubedoctorError, OSError):
        return None
    phases = (Phase.PREFLIGHT,)
    return examine(checks, (machine,), SharedLook(), selected=selected, phases=phases, seconds=SECONDS).report


def _chosen(app: App, ignored: Sequence[str]) -> Collection[str]:
    """Return the ids of the checks that are meant; raise UsageError for a name that means none."""
    if not ignored:
        return ()
    from kubedoctor.doctor.select import ignored as meant
    from kubedoctor.doctor.select import words

    return meant(app.manager.checks(), words(ignored))


def _failure(errors: Sequence[Cause], machine: ReportedTarget) -> PreflightFailed:
    from kubedoctor.report.fix_text import lines_of

    names = list(dict.fromkeys(cause.id for cause in errors))
    hints = [line for cause in errors for line in lines_of(cause.fixes, machine)]
    hints.append(f"more about it: kubedoctor explain {names[0]}")
    hints.append(f"to start all the same: kubedoctor up --ignore {','.join(names)}")
    told = "\n".join(f"  {cause.message}   {cause.id}" for cause in errors)
    return PreflightFailed(f"a cluster cannot start here\n{told}", hint="\n".join(hints))
