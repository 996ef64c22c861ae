"""What keeps an etcd from starting; the checks of one that runs are in `kubedoctor_etcd.health`."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import (
    Check,
    Context,
    Denied,
    Evidence,
    FactError,
    Finding,
    Fix,
    Phase,
    Safety,
    Severity,
    check,
    host,
    run,
)
from kubedoctor_etcd.facts import PREFIX, our_environment
from kubedoctor_etcd.flags import FLAGS
from kubedoctor_etcd.health import alarm_raised, unhealthy
from kubedoctor_etcd.settings import Etcd, etcds, seen_environment

CONFIGURATION = "https://etcd.io/docs/latest/op-guide/configuration/"


@check(
    "etcd.port-taken",
    title="etcd's ports are free",
    looks_at="the listening sockets where etcd runs or would run, and who holds those on its client, peer and metrics "
    "addresses",
    fix="stop the process that holds the port, or give etcd another one",
    seen_as=("discovery failed", "listen tcp 127.0.0.1:2379: bind: address already in use"),
    of=("etcd",),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("ports",),
    aliases=("Port-2379", "Port-2380", "Port-2381"),
)
def port_taken(context: Context) -> Iterator[Finding]:
    """Etcd ends at once when one of its addresses is taken.

    Often it is an etcd that an earlier cluster left behind. Then kube-apiserver may start on that one's data: the
    cluster seems to work, with objects that are missing or somebody else's.
    """
    for one in etcds(context):
        wanted = (
            port
            for name in ("listen-client-urls", "listen-client-http-urls", "listen-peer-urls", "listen-metrics-urls")
            for port in host.wanted_ports(one.get(name), f"--{name}")
        )
        yield from host.port_findings(context, one.instance, wanted)


@check(
    "etcd.data-dir-in-use",
    title="etcd has its data directory for itself",
    looks_at="who has locked `member/snap/db` in etcd's data directory, by /proc/locks and open files",
    fix="stop the other process, or give this etcd a data directory of its own",
    seen_as=("db file is flocked by another process, or taking too long", "an etcd that hangs with an empty log"),
    of=("etcd",),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("storage",),
    aliases=("DirAvailable--var-lib-etcd",),
)
def data_directory_in_use(context: Context) -> Iterator[Finding]:
    """An etcd whose data another process has locked waits for it without end, and says so after 10 s at best.

    It listens meanwhile: clients connect and get no answer. With `--log-level=warn` not one line tells of it, so this
    looks at the lock itself.
    """
    for one in etcds(context):
        if not one.database:
            if one.instance.is_running:
                raise Denied(f"needs root to see where {one.where} keeps its data")
            continue
        try:
            holders = context.get(host.file_holders, one.database, one.instance.root)
        except FactError as problem:
            if problem.kind == "absent":  # nothing was ever stored there
                continue
            raise
        own = {holder.pid for holder in holders if holder.locks and holder.pid == one.instance.pid}
        for holder in holders:
            if holder.locks and not own:
                yield _in_use(context, one, holder)


def _in_use(context: Context, one: Etcd, holder: host.Holder) -> Finding:
    owner = host.Owner(
        port=0,
        address="",
        pid=holder.pid,
        name=holder.name,
        argv=holder.argv,
        uid=holder.uid,
        user=host.user_name(holder.uid),
        started=holder.started,
        reason="it is not seen from here",
    )
    who = host.describe(owner, now=context.now)
    does = "waits for it" if one.instance.is_running else "cannot use it"
    stop = (run("kill", str(holder.pid)),) if holder.pid else ()
    return Finding(
        message=f"{who} has locked the data in {one.data_directory}, and {one.where} {does}",
        subject=one.data_directory,
        evidence=(
            Evidence(
                source=one.database,
                observed=f"locked by {who}",
                expected=f"locked by {one.where}" if one.instance.is_running else "not locked",
            ),
        ),
        fixes=(
            Fix(summary="stop the process that has it", safety=Safety.DISRUPTIVE, steps=stop),
            Fix(summary="give this etcd a data directory of its own: --data-dir"),
        ),
    )


@check(
    "etcd.environment-shadows-flag",
    title="no variable sets what etcd's command line says, or does not say",
    looks_at="the ETCD_* variables of etcd's environment beside its flags; before a start, those of ours",
    fix="unset the variable, or leave out the flag",
    seen_as=(
        "conflicting environment variable is shadowed by corresponding command-line flag",
        "recognized and used environment variable",
        "couldn't find local name in the initial cluster configuration",
    ),
    of=("etcd",),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("configuration",),
)
def environment_shadows_flag(context: Context) -> Iterator[Finding]:
    """Etcd takes each setting from a variable too: ETCD_NAME is --name. With both it refuses to start.

    A variable left over from another cluster changes what the command line alone does not explain. Components that
    `up` starts get none of these variables.
    """
    for one in etcds(context):
        if one.file:  # then neither flags nor variables count
            continue
        flags = one.instance.flags
        for name, value in sorted(seen_environment(context, one.instance).items()):
            flag = _flag(name)
            if flag and flag in flags:
                yield _shadowed(one, name, value, flags[flag][-1])
            elif flag and flags and not one.instance.is_running:
                yield _stray(one, name, value)
    if any(instance.planned for instance in context.target.instances):
        for name, value in sorted(context.get(our_environment).items()):
            if _flag(name):
                yield _ours(name, value)


def _flag(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower().replace("_", "-")
    return name if variable.startswith(PREFIX) and name in FLAGS else ""


def _shadowed(one: Etcd, variable: str, value: str, given: str) -> Finding:
    does = "an older etcd uses the flag" if one.instance.is_running else "etcd refuses to start with both"
    return Finding(
        message=f"{variable} in the environment of {one.where} is also its flag --{_flag(variable)}: {does}",
        subject=f"etcd {variable}",
        severity=Severity.WARNING if one.instance.is_running else None,
        evidence=(
            Evidence(source=f"environment of {one.where}", observed=f"{variable}={value}", expected="not set"),
            Evidence(source="its command line", observed=f"--{_flag(variable)}={given}"),
        ),
        fixes=(Fix(summary=f"unset {variable} where etcd is started", link=CONFIGURATION),),
        explains=() if one.instance.is_running else ("etcd.unhealthy",),
    )


def _stray(one: Etcd, variable: str, value: str) -> Finding:
    return Finding(
        message=f"{one.where} takes --{_flag(variable)} from {variable}, which its command line does not show",
        subject=f"etcd {variable}",
        severity=Severity.WARNING,
        evidence=(
            Evidence(
                source=f"environment of {one.where}",
                observed=f"{variable}={value}",
                expected="settings in one place: flags, variables or a file",
            ),
        ),
        fixes=(Fix(summary=f"unset {variable} if it is left over from another cluster", link=CONFIGURATION),),
    )


def _ours(variable: str, value: str) -> Finding:
    return Finding(
        message=f"{variable} is set here: an etcd started by hand takes it, and ends if given --{_flag(variable)}",
        subject=f"our environment {variable}",
        severity=Severity.INFO,
        evidence=(Evidence(source="our own environment", observed=f"{variable}={value}", expected="not set"),),
        fixes=(Fix(summary=f"unset {variable}", steps=(), link=CONFIGURATION),),
    )


CHECKS: tuple[Check, ...] = (
    port_taken,
    data_directory_in_use,
    unhealthy,
    alarm_raised,
    environment_shadows_flag,
)
