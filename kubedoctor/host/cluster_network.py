"""The addresses of a cluster that its components are told: the service `kubernetes`, the DNS that pods ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from kubedoctor.checks import Context
from kubedoctor.facts import Absent, Look, fact
from kubedoctor.host.documents import Value, at, parse_document
from kubedoctor.host.errors import printable
from kubedoctor.host.files import read_file
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance, Target

DOMAIN = "cluster.local"
"""The domain of clusters that are not given another one."""

NODE = ("kubelet", "kube-proxy", "k3s")
"""Components that make a machine a node."""

_RANGES = {"kube-apiserver": ("service-cluster-ip-range", "10.0.0.0/24"), "k3s": ("service-cidr", "10.43.0.0/16")}
"""Where the range of service addresses comes from, and what it is without the flag."""
_ENVIRONMENT = "KUBERNETES_SERVICE_HOST"
_K3S_CONFIG = "/etc/rancher/k3s/config.yaml"
_K3S_DNS = 10  # the address of the range, from its start
_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNetwork:
    """The address of the service `kubernetes`, and the range it is the first of ("" when that is not known)."""

    address: str
    network: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A network namespace that services are to work in; `instances` are its kubelet, kube-proxy or k3s."""

    net: int
    instances: tuple[Instance, ...]

    def running(self, *names: str) -> tuple[Instance, ...]:
        """Return the instances of these names that run."""
        return tuple(one for one in self.instances if one.name in names and one.is_running)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletDns:
    """What a kubelet makes of pods' resolv.conf: the servers it names there, the domain, the file for the others."""

    servers: tuple[str, ...] = ()
    domain: str = DOMAIN
    resolv_conf: str = "/etc/resolv.conf"


@fact("host.kubelet-dns")
def kubelet_dns(look: Look, path: str, root: int) -> KubeletDns:
    """What a kubelet's configuration file says of DNS, seen from the root directory of process *root* (0: ours)."""
    del look
    document = parse_document(read_file(path, root=root, limit=_LIMIT), printable(path))
    servers = at(document, "clusterDNS")
    return KubeletDns(
        servers=tuple(one for one in servers if isinstance(one, str)) if isinstance(servers, list) else (),
        domain=_text(at(document, "clusterDomain")) or DOMAIN,
        resolv_conf=_text(at(document, "resolvConf")) or KubeletDns().resolv_conf,
    )


@fact("host.k3s-settings")
def k3s_settings(look: Look, path: str, root: int) -> Mapping[str, str]:
    """What a k3s configuration file says of services and DNS, by the names of the flags; nothing without the file."""
    del look
    try:
        document = parse_document(read_file(path, root=root, limit=_LIMIT), printable(path))
    except Absent:
        return {}
    names = ("service-cidr", "cluster-dns", "cluster-domain", "disable-kube-proxy", "advertise-address", "node-ip")
    return {name: _text(value) for name in names if (value := at(document, name)) is not None}


def nodes(target: Target) -> tuple[Node, ...]:
    """Return the nodes of a cluster that are on this machine: where a kubelet or kube-proxy runs, or should now."""
    alive = {one.net for one in target.instances if one.is_running}
    found: dict[int, list[Instance]] = {}
    for one in target.all(*NODE):
        if one.net in alive and not one.planned:
            found.setdefault(one.net, []).append(one)
    return tuple(Node(net=net, instances=tuple(own)) for net, own in found.items())


def service_network(context: Context) -> ServiceNetwork | None:
    """Return the service network of the context's target, None when nothing there tells it; raise FactError.

    The API server's flag tells; on a node without one the environment of what runs in pods, kube-proxy's for one.
    """
    for instance in context.target.all(*_RANGES):
        flag, default = _RANGES[instance.name]
        if instance.name == "k3s" and not _is_server(instance):
            continue
        text = instance.flag(flag) or _k3s(context, instance).get(flag, "") or default
        network = _first_network(text)
        if network is not None:
            return ServiceNetwork(
                address=str(network[1]),
                network=str(network),
                source=f"--{flag} of {instance.name} ({instance.source})"
                if text != default
                else f"default of --{flag}",
            )
    for instance in context.target.instances:
        address = instance.environment.get(_ENVIRONMENT, "")
        if _is_address(address):
            return ServiceNetwork(address=address, source=f"{_ENVIRONMENT} of {instance.name} ({instance.source})")
    return None


def told_dns(context: Context, instance: Instance) -> KubeletDns:
    """Return what a kubelet, or a k3s that is one, makes of pods' resolv.conf; its flags win over its file.

    Raise FactError for a file that cannot be read.
    """
    if instance.name == "k3s":
        return _k3s_dns(context, instance)
    config = instance.path("config")
    found = context.get(kubelet_dns, config, instance.root) if config else KubeletDns()
    servers = tuple(one for one in instance.flag("cluster-dns").split(",") if one)
    return KubeletDns(
        servers=tuple(one for one in servers or found.servers if _is_address(one)),
        domain=(instance.flag("cluster-domain") or found.domain).strip("."),
        resolv_conf=instance.path("resolv-conf") or found.resolv_conf,
    )


def _k3s_dns(context: Context, instance: Instance) -> KubeletDns:
    settings = _k3s(context, instance)
    servers = [one for one in (instance.flag("cluster-dns") or settings.get("cluster-dns", "")).split(",") if one]
    network = service_network(context) if _is_server(instance) else None
    if not servers and network is not None and network.network:
        servers = [str(ipaddress.ip_network(network.network)[_K3S_DNS])]
    return KubeletDns(
        servers=tuple(one for one in servers if _is_address(one)),
        domain=instance.flag("cluster-domain") or settings.get("cluster-domain", DOMAIN),
        resolv_conf=instance.path("resolv-conf") or KubeletDns().resolv_conf,
    )


def _k3s(context: Context, instance: Instance) -> Mapping[str, str]:
    if instance.name != "k3s":
        return {}
    path = instance.path("config", instance.environment.get("K3S_CONFIG_FILE", _K3S_CONFIG))
    return context.get(k3s_settings, path, instance.root)


def _is_server(instance: Instance) -> bool:
    return "agent" not in " ".join(instance.argv[:2]).split()


def _first_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the first of ranges with commas between them: the service `kubernetes` is in that one."""
    try:
        network = ipaddress.ip_network(text.partition(",")[0].strip(), strict=False)
    except ValueError:
        return None
    return network if network.num_addresses > _K3S_DNS else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _text(value: Value) -> str:
    if isinstance(value, list):
        return ",".join(one for one in value if isinstance(one, str))
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""
