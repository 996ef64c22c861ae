"""What the doctor knows of a component that did not come up: said with the error, before anybody reads a log."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kubedoctor.errors import ComponentFailed, KubedoctorError

if TYPE_CHECKING:
    from kubedoctor.checks import Check
    from kubedoctor.cli.app import App
    from kubedoctor.cluster.documents import Plan
    from kubedoctor.cluster.settling import Session
    from kubedoctor.doctor.documents import Report
    from kubedoctor.targets import Target

SECONDS = 2.0
"""Whoever waits for an error waits no longer than that for its cause; the checks need 0.3 on a quiet machine, and more
on one that has too much to do, as where things fail."""

LATER = ("not-ready", "not-working", "not-answering", "unhealthy", "socket-missing")
"""Problems that say no more than what is known already: that it does not run."""


def with_cause(app: App, settled: Session, problem: ComponentFailed) -> ComponentFailed:
    """Return *problem*, with what the checks of its component find wrong, and what to do about that, in front."""
    try:
        causes = list(_causes(app, settled, problem.component)) if problem.component else []
    except (KubedoctorError, OSError):  # the failure itself is what has to be told
        causes = []
    if not causes:
        return problem
    told = "\n".join(f"  {message}   {check}" for message, check, _ in causes)
    hints = [hint for _, _, fixes in causes for hint in fixes]
    hints += [f"more about it: kubedoctor explain {check}" for _, check, _ in causes[:1]]
    return ComponentFailed(
        f"{problem.message}\n{told}", hint="\n".join([*hints, problem.hint]), component=problem.component
    )


def _causes(app: App, settled: Session, component: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the message of each error that is found, its check, and lines that mend it."""
    from kubedoctor.checks import Severity
    from kubedoctor.cluster.settling import read_plan
    from kubedoctor.report.fix_text import lines_of

    plan = read_plan(settled.place)
    report = _examined(app.manager.checks(), _targets(plan, str(settled.paths.directory)), component)
    targets = {target.id: target for target in report.targets}
    for cause in report.causes:
        if cause.severity is Severity.ERROR and not cause.id.endswith(LATER):  # another check builds on such
            yield cause.message, cause.id, lines_of(cause.fixes, targets.get(cause.target))


def _examined(checks: Sequence[Check], targets: Sequence[Target], component: str) -> Report:
    from kubedoctor.doctor.examine import examine
    from kubedoctor.doctor.look import SharedLook

    selected = [
        check.id for check in checks if (component in check.of or check.of == ("*",)) and not check.id.endswith(LATER)
    ]
    return examine(checks, targets, SharedLook(), selected=selected, seconds=SECONDS).report


def _targets(plan: Plan, directory: str) -> Sequence[Target]:
    """Return the machine with what was to be started, and the cluster, none of which runs any more."""
    from kubedoctor.cli.outside import as_seen_outside
    from kubedoctor.cli.own_clusters import relevant
    from kubedoctor.cli.targets import MACHINE
    from kubedoctor.host import redacted
    from kubedoctor.targets import Instance, Target, TargetKind

    sandboxed = plan.place_kind == "sandbox"
    instances = tuple(
        Instance(
            name=one.name,
            source=f"plan of cluster {plan.cluster}",
            argv=redacted(as_seen_outside(one.argv, one.ports) if sandboxed else one.argv),
            environment=relevant(one.env),
            executable=one.binary,
            uid=os.geteuid(),
            log=one.log,
        )
        for one in plan.components
        if not one.ends
    )
    return (
        MACHINE,
        Target(
            id=plan.cluster,
            kind=TargetKind.KUBEDOCTOR,
            title=f"cluster {plan.cluster}",
            instances=instances,
            directory=directory,
        ),
    )
