"""How the service proxy of a node works: which program it is, and in which mode."""

from __future__ import annotations

from kubedoctor import Context, Instance, host
from kubedoctor_proxy.facts import ProxySettings, settings

METRICS, HEALTH = "127.0.0.1:10249", "0.0.0.0:10256"
MODES = ("iptables", "ipvs", "nftables")
_OTHERS = {
    "cilium_host": "Cilium",
    "antrea-gw0": "Antrea",
    "ovn-k8s-mp0": "OVN-Kubernetes",
    "kube-dummy-if": "kube-router",
    "bpfout.cali": "Calico's eBPF data plane",
}
"""What may stand in for kube-proxy, by an interface that it makes."""
_IPVS = "kube-ipvs0"


def proxy_mode(context: Context, instance: Instance) -> str:
    """Return the mode of a kube-proxy: as it says itself, else as it is told; raise FactError for a file unread."""
    told = _told(context, instance)
    if instance.is_running:
        address = told.metrics_address or instance.flag("metrics-bind-address") or METRICS
        answer = context.get(host.health, f"http://{_reachable(address, METRICS)}/proxyMode", instance.net)
        if answer.is_well and answer.text.strip() in MODES:
            return answer.text.strip()
    wished = told.mode or instance.flag("proxy-mode")
    return wished if wished in MODES else MODES[0]


def has_made_rules(context: Context, instance: Instance) -> bool:
    """Return whether a kube-proxy says that it has made its rules: it is not healthy before it has, for the first time.

    Raise FactError for a file unread.
    """
    address = _told(context, instance).health_address or instance.flag("healthz-bind-address") or HEALTH
    return context.get(host.health, f"http://{_reachable(address, HEALTH)}/healthz", instance.net).is_well


def _told(context: Context, instance: Instance) -> ProxySettings:
    config = instance.path("config")
    return context.get(settings, config, instance.root) if config else ProxySettings()


def _reachable(address: str, default: str) -> str:
    """Return where a server that listens on an address, or at a port alone, is reached from its own machine."""
    name, colon, port = address.rpartition(":")
    name, port = (name, port) if colon else (address, default.rpartition(":")[2])
    return f"{_ANYWHERE.get(name, name)}:{port}"


_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}  # noqa: S104 - nothing is bound


def other_proxy(links: tuple[host.Link, ...]) -> str:
    """Return the name of what makes services work instead of kube-proxy, "" when nothing is known to."""
    return next((_OTHERS[one.name] for one in links if one.name in _OTHERS), "")


def uses_ipvs(links: tuple[host.Link, ...]) -> bool:
    """Return whether services are in the tables of IPVS."""
    return any(one.name == _IPVS for one in links)
