"""`check` for people: what is wrong first, then how much was looked at."""

from __future__ import annotations

from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Report
from kubedoctor.report.text import elapsed, visible


def render(report: Report, *, verbose: bool = False) -> list[str]:
    """Return the lines of `kubedoctor check`."""
    lines = []
    for result in report.results:
        if result.outcome is Outcome.FAILED:
            lines += [f"{visible(finding.message)}   {result.check}" for finding in result.findings]
        elif verbose:
            lines.append(f"{result.outcome}  {result.check}  {visible(result.reason)}".rstrip())
    told = [f"{number} {word.replace('_', ' ')}" for word, number in report.counts.items() if number]
    lines.append(f"{len(report.results)} checks in {elapsed(report.seconds)}: {', '.join(told)}")
    return lines
