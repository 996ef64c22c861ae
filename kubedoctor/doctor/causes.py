"""Which findings are the root, and which of the others follow from them.

A finding names the checks whose findings on its target would follow from it: an expired certificate of the scheduler
explains that the scheduler does not work. What nothing explains is a cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor.documents import Cause, ReportedFinding, Result, failed_before

Found = tuple[Result, ReportedFinding]

_ORDER = list(Severity)


def causes(results: Sequence[Result]) -> tuple[Cause, ...]:
    """Return the roots of what was found, the most likely first; each finding is one or follows from one.

    Errors come before warnings, by the worst that follows; then what most follows from, checks that were skipped for
    it included; then in the order of *results*. Hints and findings that are ignored are no causes.
    """
    found = [
        (result, finding)
        for result in results
        if result.outcome is Outcome.FAILED
        for finding in result.findings
        if finding.severity is not Severity.INFO
    ]
    groups = list(_groups(found))
    skipped = Counter((failed_before(result), result.target) for result in results)
    groups.sort(key=lambda group: (_worst(group), -_weight(group, skipped)))
    return tuple(_cause(group) for group in groups)


def _groups(found: Sequence[Found]) -> Iterator[list[Found]]:
    """Yield each root with what follows from it, directly or not; of those that explain each other the first is one."""
    by_check: dict[tuple[str, str], list[int]] = {}
    for number, (result, _) in enumerate(found):
        by_check.setdefault((result.target, result.check), []).append(number)
    explained = {
        following
        for number, (result, finding) in enumerate(found)
        for check in finding.explains
        for following in by_check.get((result.target, check), ())
        if following != number
    }
    placed = set[int]()
    for root in sorted(range(len(found)), key=lambda number: number in explained):
        if root in placed:
            continue
        group = [root]
        placed.add(root)
        for number in group:  # it grows
            result, finding = found[number]
            for check in finding.explains:
                following = [one for one in by_check.get((result.target, check), ()) if one not in placed]
                group += following
                placed.update(following)
        yield [found[number] for number in group]


def _worst(group: Sequence[Found]) -> int:
    return min(_ORDER.index(finding.severity) for _, finding in group)


def _weight(group: Sequence[Found], skipped: Mapping[tuple[str, str], int]) -> int:
    return len(group) + sum(skipped[one] for one in {(result.check, result.target) for result, _ in group})


def _cause(group: Sequence[Found]) -> Cause:
    (result, finding), *following = group
    return Cause(
        id=result.check,
        target=result.target,
        title=result.title,
        message=finding.message,
        severity=finding.severity,
        explains=tuple(dict.fromkeys(one.fingerprint for _, one in following)),
        fixes=finding.fixes,
    )
