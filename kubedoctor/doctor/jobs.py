"""Which check runs on which target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from kubedoctor.checks import Check, Phase
from kubedoctor.doctor.prerequisites import Graph
from kubedoctor.doctor.runner import Job
from kubedoctor.targets import Target, TargetKind

ANY = "*"
"""In `Check.of`: every cluster, whatever runs in it."""


def jobs(
    checks: Sequence[Check],
    targets: Sequence[Target],
    edges: Graph,
    *,
    phases: Collection[Phase] = tuple(Phase),
    owner: Callable[[str], str] = lambda _id: "",
) -> list[Job]:
    """Return what to run in the order of targets, then of *checks*: at least one job a check.

    A check that finds nothing to look at gets a job on the machine that says so. *targets* begin with the machine.
    """
    machine, *_ = targets
    places = {check.id: [target for target in targets if runs_on(check, target, phases)] for check in checks}
    pairs = [
        (check, target, "") if target in places[check.id] else (check, target, why_not(check, phases))
        for target in targets
        for check in checks
        if target in places[check.id] or (target is machine and not places[check.id])
    ]
    position = {(check.id, target.id): number for number, (check, target, _) in enumerate(pairs)}

    def after(check: Check, target: Target) -> Iterator[int]:
        for required in edges.get(check.id, ()):
            here = position.get((required, target.id))
            where = position.get((required, machine.id)) if here is None else here
            if where is not None:
                yield where

    return [
        Job(
            check=check,
            target=target,
            owner=owner(check.id),
            not_applicable=reason,
            after=tuple(after(check, target)),
        )
        for check, target, reason in pairs
    ]


def runs_on(check: Check, target: Target, phases: Collection[Phase] = tuple(Phase)) -> bool:
    """Return whether the check has something to look at there, in one of *phases*."""
    is_machine = target.kind is TargetKind.MACHINE
    if not check.of:
        return is_machine and any(phase in phases for phase in check.phases)
    phase = Phase.PREFLIGHT if is_machine else Phase.RUNNING
    if phase not in check.phases or phase not in phases:
        return False
    if ANY in check.of and not is_machine:
        return True
    return bool(target.instances) if ANY in check.of else bool(target.all(*check.of))


def why_not(check: Check, phases: Collection[Phase]) -> str:
    """Return why the check runs on no target."""
    if not any(phase in phases for phase in check.phases):
        return f"it is for {' and '.join(check.phases)}"
    names = "cluster" if ANY in check.of else " or ".join(check.of)
    if Phase.RUNNING in check.phases and Phase.RUNNING in phases:
        return f"no {names} was found"
    return f"`up` would start no {names} here"
