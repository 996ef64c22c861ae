"""What the results of a run come to: well, not well, or impossible to tell."""

from __future__ import annotations

from collections.abc import Sequence

from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor.documents import Result
from kubedoctor.errors import ExitCode

LOOKED = frozenset({Outcome.PASSED, Outcome.FAILED, Outcome.IGNORED})
"""What has become of a check that could look."""

BLIND = frozenset({Outcome.UNKNOWN, Outcome.TIMED_OUT, Outcome.CRASHED})
"""What has become of a check that could not."""


def is_failing(results: Sequence[Result], fail_on: Severity | None) -> bool:
    """Return whether there is a finding that counts, at or above *fail_on*."""
    if fail_on is None:
        return False
    order = list(Severity)
    return any(
        order.index(finding.severity) <= order.index(fail_on)
        for result in results
        if result.outcome is Outcome.FAILED
        for finding in result.findings
    )


def blind_targets(results: Sequence[Result]) -> list[str]:
    """Return the ids of targets at which checks had to look and none could.

    Those of errors have to see: what a warning is about may be in order while everything is down.
    """
    tried: dict[str, list[Result]] = {}
    for result in results:
        if result.outcome in LOOKED or result.outcome in BLIND:
            tried.setdefault(result.target, []).append(result)
    return [target for target, found in tried.items() if not _could_look(found)]


def could_tell(results: Sequence[Result]) -> bool:
    """Return whether any check could look, and none of the targets is blind."""
    return any(result.outcome in LOOKED for result in results) and not blind_targets(results)


def is_ok(results: Sequence[Result], fail_on: Severity | None) -> bool:
    """Return whether nothing was found that counts, and checks could look."""
    return not is_failing(results, fail_on) and could_tell(results)


def exit_code(
    results: Sequence[Result],
    fail_on: Severity | None,
    *,
    strict: bool = False,
    left_out: bool = False,
    unseen: bool = False,
) -> ExitCode:
    """Return the exit status of `check`; with *strict*, everything has to be seen, by all plugins.

    *left_out* says that a plugin, or a part of one, could not be used; *unseen* that what runs here was not found out.
    """
    if is_failing(results, fail_on):
        return ExitCode.NOT_WELL
    if any(result.outcome is Outcome.CRASHED for result in results):
        return ExitCode.DEFECT
    if strict and (left_out or any(result.outcome in BLIND for result in results)):
        return ExitCode.CANNOT_TELL
    return ExitCode.OK if could_tell(results) and not unseen else ExitCode.CANNOT_TELL


def _could_look(found: Sequence[Result]) -> bool:
    grave = [result for result in found if result.severity is Severity.ERROR] or found
    return any(result.outcome in LOOKED for result in grave)
