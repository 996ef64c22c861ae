"""Whether kube-controller-manager works, which its own /healthz does not tell."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import (
    Check,
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    Instance,
    NotApplicable,
    Phase,
    check,
    host,
)
from kubedoctor_controllers.component import NAME, PORT
from kubedoctor_controllers.facts import Undone, undone

ANYWHERE = "0.0.0.0"  # noqa: S104 - where it listens unless told otherwise
LATE = 30.0
"""Seconds after which work is late: a controller begins within one, one that starts on a slow machine within ten."""
LEASES = "https://kubernetes.io/docs/concepts/architecture/leases/"


@check(
    "controllers.port-taken",
    title="kube-controller-manager's port is free",
    looks_at="the listening sockets where kube-controller-manager runs or would run, and who holds its --secure-port",
    fix="stop the process that holds the port, or give kube-controller-manager another one",
    seen_as=("failed to create listener", "listen tcp 127.0.0.1:10257: bind: address already in use"),
    of=(NAME,),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("ports",),
    aliases=("Port-10257",),
)
def port_taken(context: Context) -> Iterator[Finding]:
    """Kube-controller-manager ends at once when another process listens on its port.

    Often that is one that an earlier cluster left behind.
    """
    for instance in context.target.all(NAME):
        yield from host.port_findings(context, instance, host.secure_ports(instance, ANYWHERE, PORT))


@check(
    "controllers.lease-held-elsewhere",
    title="the leader lease is held by a kube-controller-manager that runs here, or by one that lives",
    looks_at="the lease kube-system/kube-controller-manager: its holder, when it was last renewed, who is alive",
    fix="stop the other instance, or delete the lease of one that is gone",
    seen_as=("Attempting to acquire leader lease...", "deployments get no replica sets", "no service accounts"),
    of=(NAME,),
    requires=("apiserver.not-ready",),
    tags=("leader-election",),
    deadline=host.LEASE_DEADLINE,
)
def lease_held_elsewhere(context: Context) -> Iterator[Finding]:
    """Of several kube-controller-managers one leads, and the others wait without a word; /healthz says ok.

    A lease whose holder is gone keeps everybody waiting for as long as it was taken. It is the lease that tells, not
    the log: where one line less than usual is all there is to see.
    """
    for instance in _running(context):
        race = host.election(instance, f"{_url(instance)}/metrics")
        if race is not None:
            yield from host.election_findings(context, instance, instance.path("kubeconfig"), race)


@check(
    "controllers.not-working",
    title="kube-controller-manager does its work",
    looks_at="the state of its process, its /healthz, what the API answers to its own kubeconfig, its lease, and "
    "deployments and namespaces that wait for it",
    fix="mend what keeps it from the API, or start it",
    seen_as=(
        "unable to load configmap based request-header-client-ca-file",
        "serviceaccount default not found",
        "deployments without replica sets",
    ),
    of=(NAME,),
    requires=("apiserver.not-ready", "controllers.port-taken", "controllers.lease-held-elsewhere"),
    tags=("health",),
    deadline=host.LEASE_DEADLINE,
)
def not_working(context: Context) -> Iterator[Finding]:
    """Without kube-controller-manager nothing that is wished for comes about: no pods of deployments, no tokens.

    Its /healthz is ok while the API refuses it everything and while it waits for its lease. So the API is asked with
    its own kubeconfig, as itself, and for what it has left undone.
    """
    for instance in context.target.all(NAME):
        yield from host.liveness_findings(instance)
    for instance in _running(context):
        yield from _idle(context, instance)


def _idle(context: Context, instance: Instance) -> Iterator[Finding]:
    health = context.get(host.health, f"{_url(instance)}/healthz", instance.net)
    if health.problem or health.status == 500:
        yield host.silence_finding(instance, f"{_url(instance)}/healthz", health, context.now)
        return
    result = _undone(context, instance)
    if result.reply.status != 200:
        yield host.refusal_finding(instance, result.reply)
        return
    race = host.election(instance, f"{_url(instance)}/metrics")
    if race is not None and (found := host.untaken_finding(context, instance, instance.path("kubeconfig"), race)):
        yield found
        return
    if context.now - instance.started >= LATE:
        yield from _late(instance, result)


def _undone(context: Context, instance: Instance) -> Undone:
    """Return what the API answers it, or, where its kubeconfig cannot be read, an administrator."""
    problem: FactError | None = None
    for asker in host.askers(context, instance, instance.path("kubeconfig")):
        try:
            found = context.get(undone, asker.kubeconfig, asker.root, asker.net, LATE)
        except FactError as refused:
            problem = problem or refused
            continue
        if asker.own or found.reply.status == 200:
            return found
    if problem is not None:
        raise problem
    raise NotApplicable("it has no kubeconfig, and none is known")


def _late(instance: Instance, found: Undone) -> Iterator[Finding]:
    for names, controller, what in (
        (found.deployments, "deployment", "deployments changed, and were not looked at"),
        (found.namespaces, "serviceaccount", "namespaces have no service account `default`"),
    ):
        if names and _does(instance, controller):
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            waited = f"wait for {host.ago(found.waited)}"
            yield Finding(
                message=f"{NAME} (pid {instance.pid}) runs and does not work: {shown} {waited}",
                subject=NAME,
                evidence=(Evidence(source="the API", observed=f"{len(names)} {what}", expected="done in seconds"),),
                fixes=(Fix(summary=f"see why in {instance.log or 'its log'}"),),
            )


def _does(instance: Instance, controller: str) -> bool:
    """Return whether --controllers, in old names or new, has the controller."""
    given = {name.strip() for name in instance.flag("controllers", "*").split(",")}
    names = {controller, f"{controller}-controller"}
    if given & {f"-{name}" for name in names}:
        return False
    return bool(given & names) or "*" in given


def _running(context: Context) -> Iterator[Instance]:
    """Yield those that run and may go on."""
    for instance in context.target.all(NAME):
        if instance.is_running and not host.liveness_findings(instance):
            yield instance


def _url(instance: Instance) -> str:
    return host.reachable_url("https", *host.secure_address(instance, ANYWHERE, PORT))


CHECKS: tuple[Check, ...] = (port_taken, lease_held_elsewhere, not_working)
