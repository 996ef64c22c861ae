"""Which of several instances of a component leads: what the lease, its holder and the instance itself say of it."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor.checks import Context, Evidence, Finding, Fix, Safety, Severity, run
from kubedoctor.facts import Denied, FactError, Silent
from kubedoctor.host.endpoints import Identity, metrics
from kubedoctor.host.leases import Lease, LeaseView, api_addresses, lease, lease_renewal
from kubedoctor.host.owner import Owner, ago, describe, user_name
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

LEASE_DEADLINE = 8.0
"""Seconds for checks that look at leases: a suspicious one is watched for 3."""
RENEWED = 12.0
"""Seconds after which a lease that nobody has written is not being renewed: leaders give up after 10
(--leader-elect-renew-deadline), and renew every 2."""
PASSING = 20.0
"""Seconds of waiting that are usual: a new leader waits for the 15 of a lease whose holder was killed."""
_MASTER = "leader_election_master_status"


@dataclass(frozen=True, slots=True)
class Asker:
    """With which kubeconfig an API is asked, and from where; `own` is whether it is the component's own."""

    kubeconfig: str
    root: int
    net: int
    own: bool


@dataclass(frozen=True, slots=True)
class Election:
    """The lease that an instance has to hold before it works, and where the instance serves its metrics."""

    name: str
    namespace: str = "kube-system"
    metrics_url: str = ""


def election(instance: Instance, metrics_url: str) -> Election | None:
    """Return what the instance competes for, None when it works without (--leader-elect=false)."""
    if instance.flag("leader-elect", "true").lower() in ("false", "f", "0"):
        return None
    return Election(
        instance.flag("leader-elect-resource-name", instance.name),
        instance.flag("leader-elect-resource-namespace", "kube-system"),
        metrics_url,
    )


def askers(context: Context, instance: Instance, kubeconfig: str) -> Iterator[Asker]:
    """Yield how the API can be asked about an instance: as itself, from where it is; as the administrator."""
    if kubeconfig:
        yield Asker(kubeconfig, instance.root, instance.net, own=True)
    if context.target.kubeconfig:
        yield Asker(context.target.kubeconfig, 0, 0, own=False)


def seen_lease(context: Context, instance: Instance, kubeconfig: str, race: Election) -> LeaseView:
    """Return the lease as the first sees it who is let; raise the FactError, or Silent, that says why nobody is."""
    problem: FactError = Denied(f"needs a kubeconfig to see the lease {race.namespace}/{race.name}")
    for asker in askers(context, instance, kubeconfig):
        try:
            view = context.get(lease, asker.kubeconfig, asker.root, asker.net, race.namespace, race.name)
        except FactError as refused:
            problem = refused
            continue
        if view.reply.status in (200, 404):
            return view
        problem = Silent(f"the API says of the lease {race.name}: {view.reply.message or view.reply.status}")
    raise problem


def leads(context: Context, instance: Instance, race: Election, held: Lease) -> bool:
    """Return whether the instance is the leader; raise FactError when that cannot be told.

    Its metrics say it to an administrator. Else it is a matter of times: who was started after the lease was taken has
    not taken it, and of one alone that was started before it is supposed.
    """
    if context.target.kubeconfig:
        try:
            identity = Identity(kubeconfig=context.target.kubeconfig)
            for sample in context.get(metrics, race.metrics_url, instance.net, (_MASTER,), identity):
                if sample.labels.get("name") == race.name:
                    return sample.value == 1
        except FactError:
            pass  # the times are left
    if held.acquired < instance.started - 1:
        return False
    rivals = [one for one in _others(context, instance) if held.acquired >= one.started - 1]
    if rivals:
        raise Denied(f"needs an administrator's kubeconfig to see which {instance.name} leads")
    return True


def election_findings(context: Context, instance: Instance, kubeconfig: str, race: Election) -> Iterator[Finding]:
    """Yield what keeps the instance from leading: a lease that somebody else holds, or nobody alive."""
    held = seen_lease(context, instance, kubeconfig, race).lease
    if held is None or not held.holder or held.age > held.duration or leads(context, instance, race, held):
        return
    rivals = [one for one in _others(context, instance) if one.started <= held.acquired + 1]
    if held.age > RENEWED:
        yield _orphaned(context, instance, race, held)
    elif rivals:
        yield _rivalled(context, instance, race, held, rivals[0])
    elif not _is_alone(context, instance, kubeconfig):
        return  # a control plane elsewhere leads, as usual; watching for 3 s would cost it each time
    elif _is_renewed(context, instance, kubeconfig, race):
        yield _foreign(instance, race, held)
    else:
        yield _orphaned(context, instance, race, held)


def untaken_finding(context: Context, instance: Instance, kubeconfig: str, race: Election) -> Finding | None:
    """Return the finding about a lease that is free for the instance to take, and that it does not take."""
    held = seen_lease(context, instance, kubeconfig, race).lease
    since = context.now - instance.started
    if held is not None and held.holder:
        since = min(since, held.age - held.duration)
    if since <= PASSING:
        return None
    who = f"{instance.name} (pid {instance.pid})"
    return Finding(
        message=f"{who} does not lead, though the lease {race.name} has been free for {ago(since)}",
        subject=f"lease {race.namespace}/{race.name}",
        evidence=(
            _seen(race, held, f"held by {instance.name}")
            if held is not None
            else Evidence(source=f"lease {race.namespace}/{race.name}", observed="there is none", expected="held"),
        ),
        fixes=(Fix(summary=f"see why in {instance.log or 'its log'}"),),
    )


def _others(context: Context, instance: Instance) -> list[Instance]:
    return [one for one in context.target.all(instance.name) if one.is_running and one.pid != instance.pid]


def _is_renewed(context: Context, instance: Instance, kubeconfig: str, race: Election) -> bool:
    """Return whether a holder that is not on this machine lives."""
    problem: FactError = Denied(f"needs a kubeconfig to watch the lease {race.name}")
    for asker in askers(context, instance, kubeconfig):
        try:
            return context.get(lease_renewal, asker.kubeconfig, asker.root, asker.net, race.namespace, race.name)
        except FactError as refused:
            problem = refused
    raise problem


def _is_alone(context: Context, instance: Instance, kubeconfig: str) -> bool:
    """Return whether there is one kube-apiserver at most, so that no other machine should have a leader."""
    for asker in askers(context, instance, kubeconfig):
        try:
            found = context.get(api_addresses, asker.kubeconfig, asker.root, asker.net)
        except FactError:
            continue
        if found.reply.status == 200:
            return len(found.addresses) < 2
    raise Denied("needs an administrator's kubeconfig to see whether there are other control planes")


def _orphaned(context: Context, instance: Instance, race: Election, held: Lease) -> Finding:
    left = held.duration - min(held.age, context.now - instance.started)
    waits = f"{instance.name} (pid {instance.pid}) waits for it"
    if left <= PASSING:
        message = f"the lease {race.name} was held by {held.holder}, which is gone: {waits} {max(left, 0):.0f} s more"
    else:
        message = (
            f"the lease {race.name} is held by {held.holder}, which has not renewed it for {ago(held.age)} "
            f"and is not alive: {waits} {ago(left)} more"
        )
    return Finding(
        message=message,
        subject=f"lease {race.namespace}/{race.name}",
        severity=Severity.WARNING if left <= PASSING else None,
        evidence=(_seen(race, held, "renewed every few seconds"),),
        fixes=(
            Fix(
                summary="delete the lease",
                safety=Safety.DISRUPTIVE,
                steps=(run(*_kubectl(context), "-n", race.namespace, "delete", "lease", race.name),),
            ),
        )
        if left > PASSING
        else (Fix(summary="wait"),),
    )


def _rivalled(context: Context, instance: Instance, race: Election, held: Lease, rival: Instance) -> Finding:
    who = describe(
        Owner(
            port=0,
            address="",
            pid=rival.pid,
            name=rival.name,
            argv=rival.argv,
            uid=rival.uid,
            user=user_name(rival.uid),
            started=rival.started,
            directory=rival.directory,
        ),
        now=context.now,
    )
    return Finding(
        message=f"{who} leads, and {instance.name} (pid {instance.pid}) does nothing but wait",
        subject=f"lease {race.namespace}/{race.name}",
        severity=Severity.WARNING,
        evidence=(_seen(race, held, f"held by {instance.name} (pid {instance.pid})"),),
        fixes=(
            Fix(
                summary="stop the other one, if it is left over: this one takes over within 15 s",
                safety=Safety.DISRUPTIVE,
                steps=(run("kill", str(rival.pid)),),
            ),
        ),
    )


def _foreign(instance: Instance, race: Election, held: Lease) -> Finding:
    return Finding(
        message=f"{held.holder} leads, which is not on this machine, and {instance.name} (pid {instance.pid}) does "
        "nothing but wait",
        subject=f"lease {race.namespace}/{race.name}",
        severity=Severity.WARNING,
        evidence=(
            _seen(race, held, f"held by {instance.name} (pid {instance.pid})"),
            Evidence(source="endpoints of the service kubernetes", observed="one control plane, or none"),
        ),
        fixes=(
            Fix(summary=f"find and stop the {instance.name} of {held.holder.partition('_')[0]}, if it is left over"),
        ),
    )


def _seen(race: Election, held: Lease, expected: str) -> Evidence:
    return Evidence(
        source=f"lease {race.namespace}/{race.name}",
        observed=f"held by {held.holder} for {held.duration:.0f} s at a time, last renewed {ago(held.age)} ago",
        expected=expected,
    )


def _kubectl(context: Context) -> tuple[str, ...]:
    return ("kubectl", f"--kubeconfig={context.target.kubeconfig}") if context.target.kubeconfig else ("kubectl",)
