"""Runs checks: each in a daemon thread with a deadline, after those it builds on; a result for every one of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from functools import partial

from kubedoctor.checks import Check, Outcome, Severity
from kubedoctor.doctor.documents import Result, skipped_because
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.threads import AT_ONCE, Threads
from kubedoctor.records import dataclass
from kubedoctor.targets import Target

SECONDS = 30.0
"""The longest a run may take: ten times the usual deadline of a check, so ten may hang behind each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A check on a target. `owner` names the plugin and its distribution; `not_applicable` says why it need not run."""

    check: Check
    target: Target
    owner: str = ""
    not_applicable: str = ""
    after: tuple[int, ...] = ()  # positions of the jobs it builds on, in the same sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What a check raised, for a report to its author."""

    job: Job
    error: BaseException


@dataclass(slots=True, eq=False)
class _Run:
    jobs: Sequence[Job]
    look: SharedLook
    threads: Threads
    results: dict[int, Result] = field(default_factory=dict)
    judgements: dict[int, Judgement] = field(default_factory=dict)
    crashes: list[Crash] = field(default_factory=list)
    root: dict[int, str] = field(default_factory=dict)  # for what failed or was skipped: the check that failed first


def run(
    jobs: Sequence[Job], look: SharedLook, *, seconds: float = SECONDS, at_once: int = AT_ONCE
) -> tuple[list[Result], list[Crash]]:
    """Return a result for each job, in their order, after at most *seconds*; and what crashed.

    The jobs' `after` must not have a cycle.
    """
    this = _Run(jobs, look, Threads(at_once, look.working_for))
    until = time.monotonic() + seconds
    waiting = [position for position in range(len(jobs)) if not _is_needless(this, position)]
    while waiting or not this.threads.is_idle:
        if time.monotonic() < until:
            waiting = list(_begin_some(this, waiting))
        elif this.threads.is_idle:
            for position in waiting:
                _settle(this, position, Outcome.TIMED_OUT, f"the {seconds:g} s of the run were over before it began")
            break
        if not this.threads.is_idle:
            _await_one(this, until)
    return [this.results[position] for position in range(len(jobs))], this.crashes


def _is_needless(this: _Run, position: int) -> bool:
    job = this.jobs[position]
    if job.not_applicable:
        _settle(this, position, Outcome.NOT_APPLICABLE, job.not_applicable)
    return bool(job.not_applicable)


def _begin_some(this: _Run, waiting: Iterable[int]) -> Iterator[int]:
    """Begin those of *waiting* that may begin as long as there is room; yield the others."""
    has_room = True
    for position in waiting:
        has_room = has_room and this.threads.has_room
        if not has_room or not _begin(this, position):
            yield position


def _begin(this: _Run, position: int) -> bool:
    """Begin the job, or settle it where it need not run; return False when it has to wait for another."""
    job = this.jobs[position]
    if not all(one in this.results for one in job.after):
        return False
    roots = [this.root[one] for one in job.after if one in this.root]
    if roots:
        this.root[position] = roots[0]
        _settle(this, position, Outcome.SKIPPED, skipped_because(roots[0]))
        return True
    judgement = this.judgements[position] = Judgement()
    context = CheckContext(this.look, job.target, job.check.deadline)
    try:
        this.threads.start(position, partial(judgement.judge, job.check, context), job.check.deadline)
    except RuntimeError as error:
        _settle(this, position, Outcome.UNKNOWN, str(error))
    return True


def _await_one(this: _Run, until: float) -> None:
    ended = this.threads.next(until)
    if ended is None or not isinstance(ended.key, int):
        return
    job, judgement = this.jobs[ended.key], this.judgements[ended.key]
    if ended.in_time:
        if judgement.defect is not None:
            this.crashes.append(Crash(job=job, error=judgement.defect))
        if judgement.outcome is Outcome.CRASHED:
            judgement.reason = f"{job.owner}: {judgement.reason}" if job.owner else judgement.reason
        result = judgement.result(job.check, job.target, seconds=ended.seconds)
    else:
        awaited = this.look.give_up(ended.thread)
        given_up = Judgement(list(judgement.findings), Outcome.TIMED_OUT)
        took = _told(ended.seconds, job.check.deadline)
        given_up.reason = f"{awaited} did not answer in {took} s" if awaited else f"did not end in {took} s"
        result = given_up.result(job.check, job.target, seconds=ended.seconds)
    this.results[ended.key] = result
    if any(finding.severity is not Severity.INFO for finding in result.findings):
        this.root[ended.key] = job.check.id


def _settle(this: _Run, position: int, outcome: Outcome, reason: str) -> None:
    job = this.jobs[position]
    this.results[position] = Judgement(outcome=outcome, reason=reason).result(job.check, job.target)


def _told(seconds: float, deadline: float) -> str:
    """Return the seconds as they are told: the deadline unless it was another time, by much."""
    return f"{deadline:g}" if abs(seconds - deadline) < 0.1 * deadline else f"{seconds:.1f}"
