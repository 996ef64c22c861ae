"""Ports that a component needs and another process has: what every check of ports finds, in one form."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from kubedoctor.checks import Context, Evidence, Finding, Fix, Safety, Severity, run
from kubedoctor.facts import FactError
from kubedoctor.host.endpoints import secure_address
from kubedoctor.host.owner import Owner, describe
from kubedoctor.host.process import processes
from kubedoctor.host.sockets import Listener, find_listener, listeners
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

_HOME = "/var/lib/kubedoctor"  # where root's clusters are, unless KUBEDOCTOR_HOME says otherwise
_KEEPERS = ("kd-keeper", "kd-supervisor", "kd-relay")
"""Our processes that have the sockets that listen outside for what runs in a sandbox."""
_WHOLE = ("k3s", "k0s")
"""Programs that are a whole control plane in one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPort:
    """A TCP port that a component listens on when it runs; `setting` is the flag that says so."""

    address: str  # an IP address
    port: int
    setting: str = ""


def wanted_ports(urls: str, setting: str) -> Iterator[WantedPort]:
    """Yield the ports of URLs with commas between them; those with a name are left out, which could be any address."""
    for url in urls.split(","):
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
            address = "127.0.0.1" if host == "localhost" else str(ipaddress.ip_address(host))
        except ValueError:
            continue
        if port:
            yield WantedPort(address=address, port=port, setting=setting)


def secure_ports(instance: Instance, address: str, port: int) -> Iterator[WantedPort]:
    """Yield the port that a component of Kubernetes serves on, by its flags, else the defaults given; none for 0."""
    if instance.flag("secure-port") == "0":  # it serves nothing, or nothing outside its sandbox
        return
    told, number = secure_address(instance, address, port)
    with suppress(ValueError):  # a name: it could be any address
        yield WantedPort(address=str(ipaddress.ip_address(told)), port=number, setting="--secure-port")


def port_findings(context: Context, instance: Instance, wanted: Iterable[WantedPort]) -> Iterator[Finding]:
    """Yield a finding for each port that a component, which does not run, would not get; none for one that runs.

    A port that a cluster here has is nothing wrong with the machine: `up` would need another one, which is mentioned.
    """
    if instance.is_running:
        return
    found = context.get(listeners, instance.net)
    for one in dict.fromkeys(wanted):
        holder = find_listener(found, one.address, one.port)
        if holder is not None:
            yield _finding(context, instance, one, holder)


def _finding(context: Context, instance: Instance, wanted: WantedPort, holder: Listener) -> Finding:
    who = describe(holder.owner, now=context.now)
    place = f"in the network namespace of process {instance.net}" if instance.net else "on this machine"
    is_in_use = instance.planned and _is_of_a_cluster(context, instance, holder)
    need = f"`up` would need another one for {instance.name}" if is_in_use else f"{instance.name} needs"
    return Finding(
        message=f"{who} listens on port {wanted.port}{':' if is_in_use else ', which'} {need}",
        subject=f"{instance.name} :{wanted.port}",
        severity=Severity.INFO if is_in_use else None,
        evidence=(
            Evidence(
                source=f"listening sockets {place}",
                observed=f"{_shown(holder.address)}:{holder.port} is held by {who}",
                expected=f"nobody listens on {_shown(wanted.address)}:{wanted.port}",
            ),
        ),
        fixes=_another_port(instance, wanted) if is_in_use else tuple(_fixes(instance, wanted, holder.owner)),
    )


def _is_of_a_cluster(context: Context, instance: Instance, holder: Listener) -> bool:
    """Return whether a cluster that runs here has the port, for the same kind of component.

    Who holds another user's socket only root is told; command lines of components are seen by everybody.
    """
    names = (instance.name, *_KEEPERS, *_WHOLE)
    if holder.owner.pid:
        return holder.owner.name in names
    try:
        theirs = [one for one in context.get(processes) if one.uid == holder.uid]
    except FactError:  # the port is taken all the same
        return False
    return any(one.name in _KEEPERS or (one.argv and PurePosixPath(one.argv[0]).name in names) for one in theirs)


def _fixes(instance: Instance, wanted: WantedPort, owner: Owner) -> Iterator[Fix]:
    if cluster := cluster_of(owner):
        home, name = cluster
        where = () if home == _HOME else ("env", f"KUBEDOCTOR_HOME={home}")
        yield Fix(
            summary=f"stop the cluster `{name}`",
            safety=Safety.DISRUPTIVE,
            steps=(run(*where, "kubedoctor", "down", "--name", name),),
        )
    elif owner.pid:
        yield Fix(summary="stop it", safety=Safety.DISRUPTIVE, steps=(run("kill", str(owner.pid)),))
    else:
        yield Fix(summary="find out as root what it is, and stop it")
    yield from _another_port(instance, wanted)


def _another_port(instance: Instance, wanted: WantedPort) -> tuple[Fix, ...]:
    return (Fix(summary=f"give {instance.name} another port: {wanted.setting}"),) if wanted.setting else ()


def cluster_of(owner: Owner) -> tuple[str, str] | None:
    """Return home and name of the cluster whose keeper, supervisor or relay *owner* is, None for others."""
    parts = PurePosixPath(owner.directory).parts  # they run in the directory of their place
    if not owner.name.startswith("kd-") or len(parts) < 5 or (parts[-4], parts[-2]) != ("clusters", "places"):
        return None
    return str(PurePosixPath(*parts[:-4])), parts[-3]


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
