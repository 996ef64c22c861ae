"""In which order findings are shown: causes first, each with what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor.documents import Report, ReportedFinding, Result
from kubedoctor.records import dataclass

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A finding, and those that are shown below it since they follow from it."""

    result: Result
    finding: ReportedFinding
    following: list[tuple[Result, ReportedFinding]] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        """The worst of it and what follows."""
        found = [self.finding, *(finding for _, finding in self.following)]
        return min((one.severity for one in found), key=_ORDER.index)


def in_order(report: Report) -> list[Shown]:
    """Return what was found, in the order of the report's causes; errors first, those without a cause as they come."""
    explained = {(cause.target, one): number for number, cause in enumerate(report.causes) for one in cause.explains}
    roots = {(cause.target, cause.id, cause.message): number for number, cause in enumerate(report.causes)}
    tops: dict[int, Shown] = {}
    for position, (result, finding) in enumerate(found := list(_failed(report))):
        root = roots.get((result.target, result.check, finding.message))
        if root is not None and root not in tops:
            tops[root] = Shown(result=result, finding=finding)
        elif (result.target, finding.fingerprint) not in explained:
            tops[len(roots) + position] = Shown(result=result, finding=finding)
    for result, finding in found:
        root = explained.get((result.target, finding.fingerprint))
        if root in tops and finding is not tops[root].finding:
            tops[root].following.append((result, finding))
    return sorted((tops[number] for number in sorted(tops)), key=lambda one: _ORDER.index(one.severity))


def _failed(report: Report) -> Iterator[tuple[Result, ReportedFinding]]:
    for result in report.results:
        if result.outcome is Outcome.FAILED:
            yield from ((result, finding) for finding in result.findings)
