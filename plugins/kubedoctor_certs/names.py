"""The names a serving certificate has to be for: those that somebody dials."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from kubedoctor import FactError, host
from kubedoctor_certs.edges import dialled
from kubedoctor_certs.settings import Settings
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Needed, Shown, Survey

SERVICE = "kubernetes.default.svc"
DEFAULT_RANGE = "10.0.0.0/24"
"""The service range of a kube-apiserver that is not given one."""


def needed_names(sight: Sight, result: Survey, components: list[Settings]) -> Iterator[Needed]:
    """Yield the names that serving certificates of the API server and of etcd have to be for."""
    for one in components:
        for shown in result.shown:
            if shown.instance is not one.instance or shown.what != "serving certificate":
                continue
            if one.instance.name == "kube-apiserver":
                yield from _of_api_server(sight, result, one, shown)
                yield from _of_services(one, shown, components)
            if one.instance.name == "etcd":
                yield from _of_etcd(one, shown, components)


def _of_api_server(sight: Sight, result: Survey, server: Settings, shown: Shown) -> Iterator[Needed]:
    for used in result.kubeconfigs:
        config = sight.kubeconfig(used.path, used.root) if used.asks_api else None
        if config is None or isinstance(config, FactError) or config.cluster is None:
            continue
        cluster = config.cluster
        if cluster.scheme != "https" or cluster.insecure:
            continue
        name = cluster.server_name or host.printable(_host(used.server)) or cluster.host
        if name:
            yield Needed(shown, name, f"{used.who} uses it, by {used}")
    if advertised := server.get("advertise-address"):
        yield Needed(shown, host.printable(advertised), "--advertise-address: other nodes would use it", is_used=False)


def _of_services(server: Settings, shown: Shown, components: list[Settings]) -> Iterator[Needed]:
    try:
        services = ipaddress.ip_network(server.get("service-cluster-ip-range", DEFAULT_RANGE).split(",")[0].strip())
    except ValueError:
        return
    has_pods = any(one.instance.name == "kubelet" for one in components)
    first = str(services.network_address + 1)
    yield Needed(shown, first, "the kubernetes service, which pods use", is_used=has_pods, is_rare=not has_pods)
    why = "the kubernetes service by its name"
    domains = {one.get("cluster-domain") for one in components if one.instance.name == "kubelet"} - {""}
    yield Needed(shown, SERVICE, why, is_used=False)
    for name in ("kubernetes", "kubernetes.default", *(f"{SERVICE}.{domain}" for domain in sorted(domains))):
        yield Needed(shown, name, why, is_used=False, is_rare=True)


def _of_etcd(etcd: Settings, shown: Shown, components: list[Settings]) -> Iterator[Needed]:
    for server in components:
        if server.instance.name == "kube-apiserver":
            for name in dialled(server, etcd):
                yield Needed(shown, host.printable(name), "kube-apiserver uses it, by --etcd-servers")


def _host(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or "" if url else ""
    except ValueError:
        return ""
