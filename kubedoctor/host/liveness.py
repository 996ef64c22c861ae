"""Components that should run and do not, do not answer, or are refused by the API: said in one form by all checks."""

from __future__ import annotations

from kubedoctor.checks import Evidence, Finding, Fix, Safety, Severity, Step, StepKind, run
from kubedoctor.host.endpoints import Health
from kubedoctor.host.errors import printable
from kubedoctor.host.leases import ApiReply
from kubedoctor.targets import Instance

AUTHENTICATION = "https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates"
STARTING = 15.0
"""Seconds a component has to begin: on a machine with little to do it needs one to five."""
_HELD = {"T": "stopped, by SIGSTOP or Ctrl-Z", "t": "held by a debugger", "Z": "dead, and its parent has not noticed"}


def liveness_findings(instance: Instance) -> list[Finding]:
    """Return what is wrong with the process of a component, nothing when there is one that may go on."""
    if instance.planned:
        return []
    if not instance.is_running:
        where = f"see why in {instance.log}, then start it" if instance.log else "start it"
        start = Step(kind=StepKind.RESTART_COMPONENT, component=instance.name)
        return [
            Finding(
                message=f"{instance.name} does not run",
                subject=instance.name,
                evidence=(Evidence(source=instance.source, observed="no process", expected="a process"),),
                fixes=(Fix(summary=where, safety=Safety.SAFE, steps=(start,)),),
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


def is_starting(instance: Instance, now: float) -> bool:
    """Return whether it was started a moment ago, so that what is not well yet may be well soon."""
    return 0 <= now - instance.started < STARTING


def silence_finding(instance: Instance, url: str, health: Health, now: float) -> Finding:
    """Return the finding about a component whose health endpoint gives no good answer at the time *now*."""
    starting = is_starting(instance, now)
    since = f", {now - instance.started:.0f} s after its start" if starting else ""
    told = health.problem or f"{health.status} {printable(health.text.strip())}"
    verb = "does not answer" if health.problem else "is not well"
    return Finding(
        message=f"{instance.name} (pid {instance.pid}) {verb}: {told}{since}",
        subject=instance.name,
        severity=Severity.WARNING if starting else None,
        evidence=(Evidence(source=url, observed=told, expected="200 ok"),),
        fixes=(Fix(summary=f"see why in {instance.log or 'its log'}"),),
    )


def refusal_finding(instance: Instance, reply: ApiReply) -> Finding:
    """Return the finding about a component that cannot do with the API what it has to, by its own kubeconfig."""
    kubeconfig = instance.path("kubeconfig") or "its kubeconfig"
    if reply.status == 401:
        why = f"the API does not accept the certificate or token of {kubeconfig} (401)"
        fix = Fix(summary=f"renew the certificate in {kubeconfig}, then restart {instance.name}", link=AUTHENTICATION)
    elif reply.status == 403:
        why = f"the API forbids it what it needs: {reply.message or '403'}"
        fix = Fix(
            summary=f"give {kubeconfig} a certificate of the user system:{instance.name}; if it has one, restart "
            "kube-apiserver, which restores the rights of that user"
        )
    elif reply.status:
        why = f"the API answers {reply.status}: {reply.message}"
        fix = Fix(summary="see why in kube-apiserver's log")
    else:
        why = f"the API does not answer where {kubeconfig} says: {reply.message}"
        fix = Fix(summary=f"correct the server, or the authority, in {kubeconfig}")
    return Finding(
        message=f"{instance.name} (pid {instance.pid}) runs and cannot work: {why}",
        subject=instance.name,
        evidence=(
            Evidence(
                source=f"the API, asked with {kubeconfig}", observed=reply.message or str(reply.status), expected="200"
            ),
        ),
        fixes=(fix,),
    )
