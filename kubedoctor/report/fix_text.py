"""A fix as what a person types."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from kubedoctor.checks import Fix, Step, StepKind
from kubedoctor.report.text import visible


def command_of(fix: Fix) -> str:
    """Return the fix as one line for a shell; empty when it is not a thing that commands do."""
    return visible(" && ".join(_command(step) for step in fix.steps))


def lines_of(fixes: Iterable[Fix]) -> list[str]:
    """Return a line for each fix: what it does and, where commands do it, which."""
    commands = ((fix.summary, command_of(fix)) for fix in fixes)
    return [f"{summary}: {command}" if command else summary for summary, command in commands]


def _command(step: Step) -> str:
    match step.kind:
        case StepKind.RUN:
            return shlex.join(step.argv)
        case StepKind.SYSCTL:
            return shlex.join(["sysctl", "-w", f"{step.key}={step.value}"])
        case StepKind.REMOVE_FILE:
            return shlex.join(["rm", step.path])
        case StepKind.RESTART_COMPONENT:
            return shlex.join(["kubedoctor", "restart", step.component])
        case StepKind.WRITE_FILE:
            return f"printf %s {shlex.quote(step.content)} > {shlex.quote(step.path)}"
