"""How much was looked at, and what could not be seen, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor.documents import Report, ReportedTarget, Result
from kubedoctor.doctor.verdict import BLIND, blind_targets
from kubedoctor.report.check_findings import Style, shortlist
from kubedoctor.report.text import cells, elapsed, visible
from kubedoctor.report.wrapping import wrapped
from kubedoctor.targets import TargetKind

_REASONS = 6
"""Different reasons for not having looked that are told, unless everything is wanted."""


def header(report: Report, style: Style, *, complete: bool) -> list[str]:
    """Return what was looked at; *complete* says that no check was left out, so that a verdict may be given."""
    checks = f"{_number(len(report.results), 'check')} in {elapsed(report.seconds)}"
    verdict = ": a cluster can start here" if complete and can_start(report) else ""
    titles = [" ".join(wrapped(target.title, 1 << 30)) for target in report.targets]
    line = f"{', '.join(titles)}, {checks}{verdict}"
    if cells(line) <= style.width:
        return [line]
    lines = wrapped(f"{checks}{verdict}", style.width)
    return [*lines, *(line for title in titles for line in wrapped(title, style.width, first="  "))]


def can_start(report: Report) -> bool:
    """Return whether everything that `up` needs was looked at and is as it should be; nothing else may run here."""
    machine, *others = report.targets
    return (
        not others
        and bool(machine.components)
        and not machine.unseen
        and not blind_targets(report.results)
        and not any(
            result.severity is Severity.ERROR and (result.outcome in BLIND or result.findings)
            for result in report.results
        )
    )


def summary(report: Report, style: Style) -> list[str]:
    """Return one line with all numbers; what could not be seen, and why, stands in it or, in need of room, below."""
    line = ", ".join(_numbers(report)) or "nothing was looked at"
    unseen = list(_unseen(report.results, style))
    if len(unseen) == 1 and not style.verbose:
        with_reason = f"{line} ({wrapped(unseen[0][1], 1 << 30)[0]})"
        if cells(with_reason) <= style.width:
            return [with_reason, *_blind(report, style)]
    lines = wrapped(line, style.width)
    for outcome, text in unseen:
        lines += wrapped(text, style.width, first=f"  {outcome.value.replace('-', ' '):<9}  ")
    return [*lines, *_blind(report, style)]


def notes(targets: Sequence[ReportedTarget], style: Style) -> list[str]:
    """Return what the search for clusters could not see."""
    found = dict.fromkeys(note for target in targets for note in target.notes)
    return [line for note in found for line in wrapped(note, style.width, first="note: ")]


def timings(report: Report, *, most: int = 10) -> list[str]:
    """Return the slowest checks and facts."""
    slow = sorted(report.results, key=lambda result: -result.seconds)[:most]
    several = len(report.targets) > 1
    lines = ["slowest checks"]
    lines += [
        f"  {result.seconds:7.3f} s  {visible(f'{result.check} ({result.target})' if several else result.check)}"
        for result in slow
        if result.seconds
    ]
    facts = sorted(report.timings.items(), key=lambda item: -item[1])[:most]
    return [*lines, "slowest facts", *(f"  {seconds:7.3f} s  {visible(key)}" for key, seconds in facts)]


def _numbers(report: Report) -> Iterator[str]:
    severities = Counter(
        finding.severity for result in report.results if result.outcome is Outcome.FAILED for finding in result.findings
    )
    for severity, word in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "hint")):
        if severities[severity]:
            yield _number(severities[severity], word)
    outcomes = Counter(result.outcome for result in report.results)
    words = {Outcome.PASSED: "well"} | {outcome: outcome.value.replace("-", " ") for outcome in _ORDER[1:]}
    yield from (f"{outcomes[outcome]} {words[outcome]}" for outcome in _ORDER if outcomes[outcome])


_ORDER = (
    Outcome.PASSED,
    Outcome.IGNORED,
    Outcome.NOT_APPLICABLE,
    Outcome.SKIPPED,
    Outcome.UNKNOWN,
    Outcome.TIMED_OUT,
    Outcome.CRASHED,
)


def _unseen(results: Sequence[Result], style: Style) -> Iterator[tuple[Outcome, str]]:
    """Yield for each reason why checks could not look: the outcome, and the reason with the checks."""
    reasons: dict[tuple[Outcome, str], list[str]] = {}
    for result in results:
        if result.outcome in BLIND:
            reasons.setdefault((result.outcome, result.reason), []).append(result.check)
    told = sorted(reasons.items(), key=lambda item: (_ORDER.index(item[0][0]), -len(item[1])))
    shown = told if style.verbose or len(told) <= _REASONS + 1 else told[:_REASONS]
    for (outcome, reason), checks in shown:
        yield outcome, f"{reason}: {shortlist(checks, style)}"
    if rest := told[len(shown) :]:
        outcome = rest[0][0][0]
        yield outcome, f"{sum(len(checks) for _, checks in rest)} more for other reasons: kubedoctor check -v"


def _blind(report: Report, style: Style) -> list[str]:
    titles = {target.id: target.title for target in report.targets}
    blind = [titles.get(one, one) for one in blind_targets(report.results)]
    if not any(result.outcome is not Outcome.NOT_APPLICABLE for result in report.results):
        return wrapped("could not tell: no check had anything to look at", style.width)
    told = [f"could not tell how it is with {title}: no check of errors could look" for title in blind]
    told += [f"could not tell what runs on {target.title}" for target in report.targets if target.unseen]
    return [line for one in told for line in wrapped(one, style.width)]


def _number(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def is_machine(target: ReportedTarget) -> bool:
    """Return whether it is the machine itself."""
    return target.kind is TargetKind.MACHINE
