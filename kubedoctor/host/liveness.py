"""A component that should run and does not, or is stopped: what every check of health finds first, in one form."""

from __future__ import annotations

from kubedoctor.checks import Evidence, Finding, Fix, Safety, run
from kubedoctor.targets import Instance

_HELD = {"T": "stopped, by SIGSTOP or Ctrl-Z", "t": "held by a debugger", "Z": "dead, and its parent has not noticed"}


def liveness_findings(instance: Instance) -> list[Finding]:
    """Return what is wrong with the process of a component, nothing when there is one that may go on."""
    if instance.planned:
        return []
    if not instance.is_running:
        where = f"see why in {instance.log}, then start it" if instance.log else "start it"
        return [
            Finding(
                message=f"{instance.name} does not run",
                subject=instance.name,
                evidence=(Evidence(source=instance.source, observed="no process", expected="a process"),),
                fixes=(Fix(summary=where),),
            )
        ]
    if instance.state not in _HELD:
        return []
    return [
        Finding(
            message=f"{instance.name} (pid {instance.pid}) is {_HELD[instance.state]}",
            subject=instance.name,
            evidence=(
                Evidence(source=f"/proc/{instance.pid}/stat", observed=f"state {instance.state}", expected="S or R"),
            ),
            fixes=(_release(instance),),
        )
    ]


def _release(instance: Instance) -> Fix:
    if instance.state == "T":
        return Fix(summary="let it go on", safety=Safety.SAFE, steps=(run("kill", "-CONT", str(instance.pid)),))
    return Fix(summary="let it go on in the debugger" if instance.state == "t" else "start it again")
