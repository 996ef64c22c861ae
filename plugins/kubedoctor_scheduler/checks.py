"""Whether kube-scheduler works, which its own /healthz does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import Check, Context, Evidence, FactError, Finding, Fix, Instance, NotApplicable, Phase, check, host
from kubedoctor_scheduler.component import NAME, PORT
from kubedoctor_scheduler.facts import Settings, Waiting, settings, waiting_pods

ANYWHERE = "0.0.0.0"  # noqa: S104 - where it listens unless told otherwise
DEFAULT = "default-scheduler"
LATE = 30.0
"""Seconds after which a pod without a word is late: a scheduler that works needs a hundredth of one."""
_SCHEDULER = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@check(
    "scheduler.port-taken",
    title="kube-scheduler's port is free",
    looks_at="the listening sockets where kube-scheduler runs or would run, and who holds its --secure-port",
    fix="stop the process that holds the port, or give kube-scheduler another one",
    seen_as=("failed to create listener", "listen tcp 127.0.0.1:10259: bind: address already in use"),
    of=(NAME,),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("ports",),
    aliases=("Port-10259",),
)
def port_taken(context: Context) -> Iterator[Finding]:
    """Kube-scheduler ends at once when another process listens on its port.

    Often that is one that an earlier cluster left behind.
    """
    for instance in context.target.all(NAME):
        yield from host.port_findings(context, instance, host.secure_ports(instance, ANYWHERE, PORT))


@check(
    "scheduler.not-working",
    title="kube-scheduler does its work",
    looks_at="the state of its process, its /healthz, what the API answers to its own kubeconfig, its lease, and pods "
    "that nobody has looked at",
    fix="mend what keeps it from the API, or start it",
    seen_as=("pods stay Pending without any event", "nodes is forbidden: User cannot list resource"),
    of=(NAME,),
    requires=("apiserver.not-ready", "scheduler.port-taken"),
    tags=("health", "leader-election"),
    deadline=host.LEASE_DEADLINE,
)
def not_working(context: Context) -> Iterator[Finding]:
    """Without kube-scheduler pods stay Pending, and nothing says why: not one event.

    Its /healthz is ok while every list is forbidden to it, while nothing answers at the API's address, and while
    another instance holds its lease. So the API is asked with its own kubeconfig, as itself.
    """
    for instance in context.target.all(NAME):
        found = host.liveness_findings(instance)
        yield from found or _idle(context, _scheduler(context, instance))


@dataclass(frozen=True, slots=True)
class _Scheduler:
    """A kube-scheduler with its settings."""

    instance: Instance
    kubeconfig: str
    race: host.Election | None
    schedulers: tuple[str, ...]

    @property
    def url(self) -> str:
        return host.reachable_url("https", *host.secure_address(self.instance, ANYWHERE, PORT))


def _scheduler(context: Context, instance: Instance) -> _Scheduler:
    """Return the scheduler with what its file says; the file wins over the flags of what it can say."""
    file = instance.path("config")
    told = context.get(settings, file, instance.root) if file else Settings()
    url = host.reachable_url("https", *host.secure_address(instance, ANYWHERE, PORT))
    race = host.election(instance, f"{url}/metrics")
    if file:
        race = None
        if told.elects is not False:
            race = host.Election(told.lease or NAME, told.namespace or "kube-system", f"{url}/metrics")
    return _Scheduler(
        instance,
        instance.absolute(told.kubeconfig) or instance.path("kubeconfig"),
        race,
        tuple(name for name in told.schedulers or (DEFAULT,) if _SCHEDULER.fullmatch(name)),
    )


def _idle(context: Context, one: _Scheduler) -> Iterator[Finding]:
    health = context.get(host.health, f"{one.url}/healthz", one.instance.net)
    if health.problem or health.status == 500:
        yield host.silence_finding(one.instance, f"{one.url}/healthz", health, context.now)
        return
    waiting = [_waiting(context, one, name) for name in one.schedulers]
    if refused := next((found for found in waiting if found.reply.status != 200), None):
        yield host.refusal_finding(one.instance, refused.reply)
        return
    if one.race is not None:
        held = list(host.election_findings(context, one.instance, one.kubeconfig, one.race))
        if untaken := host.untaken_finding(context, one.instance, one.kubeconfig, one.race):
            held.append(untaken)
        if held:
            yield from held
            return
    if context.now - one.instance.started >= LATE:
        yield from _late(one, waiting)


def _waiting(context: Context, one: _Scheduler, name: str) -> Waiting:
    """Return what the API answers it, or, where its kubeconfig cannot be read, an administrator."""
    problem: FactError | None = None
    for asker in host.askers(context, one.instance, one.kubeconfig):
        try:
            found = context.get(waiting_pods, asker.kubeconfig, asker.root, asker.net, name, LATE)
        except FactError as refused:
            problem = problem or refused
            continue
        if asker.own or found.reply.status == 200:
            return found
    if problem is not None:
        raise problem
    raise NotApplicable("it has no kubeconfig, and none is known")


def _late(one: _Scheduler, waiting: list[Waiting]) -> Iterator[Finding]:
    pods = [pod for found in waiting for pod in found.pods]
    if not pods:
        return
    shown = ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
    waited = host.ago(max(found.waited for found in waiting))
    yield Finding(
        message=f"{NAME} (pid {one.instance.pid}) runs and does not schedule: {shown} wait for {waited} without a word",
        subject=NAME,
        evidence=(
            Evidence(
                source="the API",
                observed=f"{len(pods)} pods have neither a node nor a condition PodScheduled",
                expected="a word within a second",
            ),
        ),
        fixes=(Fix(summary=f"see why in {one.instance.log or 'its log'}"),),
    )


CHECKS: tuple[Check, ...] = (port_taken, not_working)
