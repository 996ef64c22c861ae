"""One run of the doctor: checks on targets, into a Report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from kubedoctor.checks import Check, Outcome, Phase, Severity
from kubedoctor.doctor.causes import causes
from kubedoctor.doctor.documents import Report, ReportedTarget, Result
from kubedoctor.doctor.jobs import jobs
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.prerequisites import graph, with_prerequisites
from kubedoctor.doctor.runner import SECONDS, Crash, run
from kubedoctor.doctor.verdict import is_ok
from kubedoctor.records import dataclass
from kubedoctor.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """A report, and what does not go into it: the exceptions of what crashed."""

    report: Report
    crashes: tuple[Crash, ...] = ()


def examine(
    checks: Sequence[Check],
    targets: Sequence[Target],
    look: SharedLook,
    *,
    selected: Collection[str] | None = None,
    phases: Collection[Phase] = tuple(Phase),
    ignored: Collection[str] = (),
    fail_on: Severity | None = Severity.ERROR,
    seconds: float = SECONDS,
    owner: Callable[[str], str] = lambda _id: "",
    plugins: Collection[str] = (),
    report_problem: Callable[[str, str], None] = lambda _check, _what: None,
    timings: bool = False,
) -> Examination:
    """Run the *selected* of all *checks* (None: all) with what they build on, and return what they found.

    Findings of checks in *ignored* do not count; *fail_on* is the mildest severity that makes the report not `ok`,
    None for no severity at all. *report_problem* is told of a check whose prerequisites cannot be as they are.
    """
    began = time.monotonic()
    edges = graph(checks, plugins, report_problem)
    wanted = with_prerequisites([check.id for check in checks] if selected is None else selected, edges)
    planned = jobs([check for check in checks if check.id in wanted], targets, edges, phases=phases, owner=owner)
    results, crashes = run(planned, look, seconds=seconds)
    results = [_ignoring(result, ignored) for result in results]
    return Examination(
        report=Report(
            targets=tuple(reported_target(target) for target in targets),
            started=datetime.fromtimestamp(look.now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            seconds=round(time.monotonic() - began, 6),
            ok=is_ok(results, fail_on) and not any(target.unseen for target in targets),
            counts=counts(results),
            causes=causes(results),
            results=tuple(results),
            timings=fact_timings(look) if timings else {},
        ),
        crashes=tuple(crashes),
    )


def reported_target(target: Target) -> ReportedTarget:
    """Return what the report says of a target."""
    return ReportedTarget(
        id=target.id,
        kind=target.kind,
        title=target.title,
        components=tuple(dict.fromkeys(instance.name for instance in target.instances)),
        notes=target.notes,
        unseen=target.unseen,
    )


def counts(results: Sequence[Result]) -> Mapping[str, int]:
    """Return how many results there are of each outcome, with `_` for `-`."""
    found = Counter(result.outcome for result in results)
    return {outcome.value.replace("-", "_"): found[outcome] for outcome in Outcome}


def fact_timings(look: SharedLook) -> Mapping[str, float]:
    """Return the seconds each fact took by itself, the slowest first."""
    took = {key: round(answer.seconds, 6) for key, answer in look.answers().items() if answer.done.is_set()}
    return dict(sorted(took.items(), key=lambda item: -item[1]))


def _ignoring(result: Result, ignored: Collection[str]) -> Result:
    is_ignored = result.outcome is Outcome.FAILED and result.check in ignored
    return replace(result, outcome=Outcome.IGNORED) if is_ignored else result
