"""A fix as what a person types."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from kubedoctor.checks import Fix, Step, StepKind
from kubedoctor.doctor.documents import ReportedTarget
from kubedoctor.report.text import visible
from kubedoctor.targets import TargetKind

_SERVICES = {"kubelet": "kubelet", "containerd": "containerd", "crio": "crio", "k3s": "k3s", "docker": "docker"}
"""Components that systemd starts where neither we nor static pods do, and their units."""
_WITH_SYSTEMD = frozenset({TargetKind.KUBEADM, TargetKind.K3S})
_OURS = "kubedoctor"
_DEFAULT = "local"


def command_of(fix: Fix, target: ReportedTarget | None = None) -> str:
    """Return the fix as one line for a shell; empty when it is not a thing that commands do.

    *target* is what it is for; without it, the default cluster of ours. What no command does there is left out.
    """
    return visible(" && ".join(filter(None, (_command(step, target) for step in fix.steps))))


def lines_of(fixes: Iterable[Fix], target: ReportedTarget | None = None) -> list[str]:
    """Return a line for each fix: what it does and, where commands do it, which."""
    commands = ((fix.summary, command_of(fix, target)) for fix in fixes)
    return [f"{summary}: {command}" if command else summary for summary, command in commands]


def _command(step: Step, target: ReportedTarget | None) -> str:
    match step.kind:
        case StepKind.RESTART_COMPONENT:
            return _restart(step.component, target)
        case StepKind.RUN if step.argv[:1] == (_OURS,):
            return f"{_home(target)}{shlex.join(step.argv)}"
        case StepKind.RUN:
            argv = step.argv
        case StepKind.SYSCTL:
            argv = ("sysctl", "-w", f"{step.key}={step.value}")
        case StepKind.REMOVE_FILE:
            argv = ("rm", step.path)
        case StepKind.WRITE_FILE:
            written = f"printf %s {shlex.quote(step.content)} > {shlex.quote(step.path)}"
            if not step.within:
                return written
            argv = ("sh", "-c", written)
    return f"{_entering(step, target)}{shlex.join(argv)}"


def _restart(component: str, target: ReportedTarget | None) -> str:
    if target is None or target.kind is TargetKind.KUBEDOCTOR:
        return f"{_home(target)}{shlex.join([_OURS, 'restart', *_name(target), component])}"
    unit = _SERVICES.get(component) if target.kind in _WITH_SYSTEMD else None
    return f"systemctl restart {unit}" if unit else ""


def _entering(step: Step, target: ReportedTarget | None) -> str:
    """Return the words that let the rest run where the step has to be done, with a blank behind them."""
    if not step.within:
        return ""
    if target is not None and target.kind is TargetKind.KUBEDOCTOR:
        return f"{_home(target)}{shlex.join([_OURS, 'enter', *_name(target)])} "
    return f"nsenter --all --target {step.within} "


def _name(target: ReportedTarget | None) -> list[str]:
    name = target.id.partition(" in ")[0] if target is not None else _DEFAULT
    return [] if name == _DEFAULT else ["--name", name]


def _home(target: ReportedTarget | None) -> str:
    """Return what names the home of a cluster that is not in ours: discovery calls it `NAME in HOME`."""
    home = target.id.partition(" in ")[2] if target is not None and target.kind is TargetKind.KUBEDOCTOR else ""
    return f"KUBEDOCTOR_HOME={shlex.quote(home)} " if home else ""
