"""Whether an etcd that should run does, answers, and takes writes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kubedoctor import Context, Evidence, FactError, Finding, Fix, NotApplicable, Safety, Severity, check, host, run
from kubedoctor_etcd.settings import Etcd, etcds, way_in

OPERATIONS = "https://etcd.io/docs/latest/op-guide/maintenance/#space-quota"
SIZES = _SIZE, _IN_USE, _QUOTA = (
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_server_quota_backend_bytes",
)


@check(
    "etcd.unhealthy",
    title="etcd answers, has a leader and can commit",
    looks_at="the state of etcd's process, and /health at its metrics or client address",
    fix="start it, let it go on, or see in its log why it cannot commit",
    seen_as=("etcdserver: request timed out", "context deadline exceeded", "etcd failed: reason withheld"),
    of=("etcd",),
    requires=("etcd.port-taken", "etcd.data-dir-in-use"),
    tags=("health",),
)
def unhealthy(context: Context) -> Iterator[Finding]:
    """Without etcd kube-apiserver answers nothing that is stored, and every other component waits or ends.

    /health asks for a linearizable read: it says yes only when there is a leader that can commit. Alarms are told by
    another check.
    """
    for one in etcds(context):
        yield from host.liveness_findings(one.instance) or _ill(context, one)


def _ill(context: Context, one: Etcd) -> Iterator[Finding]:
    url, identity = way_in(context, one)
    health = _health(context, one, f"{url}/health", identity)
    if alarm := _alarm(health):
        # An alarm hides what else is wrong: it is the first reason told.
        health = _health(context, one, f"{url}/health?exclude={alarm}", identity)
    if health.is_well or _alarm(health):
        return
    what = f"does not answer: {health.problem}" if health.problem else f"is unhealthy: {_reason(health)}"
    starting = host.is_starting(one.instance, context.now)
    since = f", {context.now - one.instance.started:.0f} s after its start" if starting else ""
    yield Finding(
        message=f"{one.where} {what}{since}",
        subject="etcd",
        severity=Severity.WARNING if starting else None,
        evidence=(
            Evidence(
                source=f"{url}/health",
                observed=health.problem or f"{health.status} {health.text.strip()[:200]}",
                expected='200 {"health":"true"}',
            ),
        ),
        fixes=(Fix(summary=f"see why in {one.instance.log or 'its log'}"),),
    )


def _health(context: Context, one: Etcd, url: str, identity: host.Identity) -> host.Health:
    return context.get(host.health, url, one.instance.net, identity)


def _reason(health: host.Health) -> str:
    try:
        told = json.loads(health.text)
    except (ValueError, RecursionError):
        told = None
    reason = told.get("reason") if isinstance(told, dict) else ""
    return host.printable(reason) if isinstance(reason, str) and reason else f"/health says {health.status}"


def _alarm(health: host.Health) -> str:
    """Return the alarm that makes it unhealthy: NOSPACE, CORRUPT; empty for none."""
    reason = "" if health.is_well or health.problem else _reason(health)
    name = reason.removeprefix("ALARM ")
    return name if name != reason and name.isalpha() else ""


@check(
    "etcd.alarm-raised",
    title="etcd has raised no alarm",
    looks_at="/health of etcd, which fails on any alarm (/readyz does not on NOSPACE), and the size of its database",
    fix="compact and defragment, raise the quota, then disarm the alarm",
    seen_as=("etcdserver: mvcc: database space exceeded", "alarm:NOSPACE", "alarm:CORRUPT"),
    of=("etcd",),
    requires=("etcd.unhealthy",),
    tags=("health", "storage"),
)
def alarm_raised(context: Context) -> Iterator[Finding]:
    """An alarm stays until somebody takes it back, also when its reason is long gone.

    With NOSPACE etcd takes no writes but deletions: reading works, /readyz is content, and nothing can be created or
    changed. With CORRUPT a member's data differs from the others'.
    """
    for one in etcds(context):
        if not one.instance.is_running:
            raise NotApplicable("etcd does not run")
        url, identity = way_in(context, one)
        health = _health(context, one, f"{url}/health", identity)
        excluded: list[str] = []
        while (alarm := _alarm(health)) and alarm not in excluded:
            yield _alarmed(context, one, url, identity, alarm, health)
            excluded.append(alarm)
            query = "&".join(f"exclude={name}" for name in excluded)
            health = _health(context, one, f"{url}/health?{query}", identity)


def _alarmed(
    context: Context, one: Etcd, url: str, identity: host.Identity, alarm: str, health: host.Health
) -> Finding:
    evidence = [Evidence(source=f"{url}/health", observed=f"{health.status} {_reason(health)}", expected="200")]
    what = "its data is not that of the other members" if alarm == "CORRUPT" else "it takes no writes"
    if alarm == "NOSPACE" and (sizes := _sizes(context, one, url, identity)):
        evidence.append(Evidence(source=f"{url}/metrics", observed=sizes, expected="a database below its quota"))
        what = f"its database is full ({sizes}), and it takes no writes"
    return Finding(
        message=f"{one.where} has raised {alarm}: {what}",
        subject=f"etcd {alarm}",
        evidence=tuple(evidence),
        fixes=tuple(_against(one, alarm)),
    )


def _sizes(context: Context, one: Etcd, url: str, identity: host.Identity) -> str:
    try:
        samples = context.get(host.metrics, f"{url}/metrics", one.instance.net, SIZES, identity)
    except FactError:
        return ""
    values = {sample.name: sample.value for sample in samples}
    if not values.get(_QUOTA):
        return ""
    size, used, quota = (f"{values.get(name, 0) / (1 << 20):.0f} MiB" for name in (_SIZE, _IN_USE, _QUOTA))
    return f"{size} of {quota}, {used} in use"


def _against(one: Etcd, alarm: str) -> Iterator[Fix]:
    if alarm != "NOSPACE":
        yield Fix(summary="remove the member and add it again with an empty data directory", link=OPERATIONS)
        return
    etcdctl = ("etcdctl", f"--endpoints={one.get('listen-client-urls').split(',')[0]}", *_certificates(one))
    yield Fix(
        summary="compact to the current revision, then defragment and disarm",
        safety=Safety.DISRUPTIVE,
        steps=(
            run(*etcdctl, "endpoint", "status", "-w", "json", within=one.instance.net),
            run(*etcdctl, "compact", "REVISION", within=one.instance.net),
            run(*etcdctl, "defrag", within=one.instance.net),
            run(*etcdctl, "alarm", "disarm", within=one.instance.net),
        ),
        link=OPERATIONS,
    )
    yield Fix(summary="raise the quota with --quota-backend-bytes (8 GiB at most), then disarm the alarm")


def _certificates(one: Etcd) -> tuple[str, ...]:
    files = {"cacert": "trusted-ca-file", "cert": "cert-file", "key": "key-file"}
    return tuple(f"--{flag}={path}" for flag, name in files.items() if (path := one.path(name)))
