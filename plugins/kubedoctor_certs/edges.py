"""Who has to trust whom: between components of a cluster, and between them and whoever has a kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from kubedoctor import FactError
from kubedoctor_certs.settings import Settings
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import Edge, Part, Shown, Source, Survey, Trusted, Use, UsedKubeconfig

_ETCD_PORT = 2379


def of_kubeconfig(sight: Sight, result: Survey, used: UsedKubeconfig) -> None:
    """Add what the current context of a kubeconfig shows and trusts."""
    config = sight.kubeconfig(used.path, used.root)
    if isinstance(config, FactError):
        return
    user, cluster = config.user, config.cluster
    if user is not None and user.certificates:
        parts = [Source(used.path, used.root, part, user.name) for part in (Part.CERTIFICATE, Part.KEY)]
        key = parts[1] if user.key else Source(user.key_file, used.root) if user.key_file else None
        _show(result, used, parts[0], key)
    elif user is not None and user.certificate_file:
        key = Source(used.path, used.root, Part.KEY, user.name) if user.key else Source(user.key_file, used.root)
        _show(result, used, Source(user.certificate_file, used.root), key if user.key or user.key_file else None)
    if cluster is not None and cluster.scheme == "https" and not cluster.insecure:
        source = Source(used.path, used.root, Part.CA, cluster.name) if cluster.ca else None
        source = source or (Source(cluster.ca_file, used.root) if cluster.ca_file else None)
        if source is not None:
            name = f"{Part.CA if source.part else 'certificate-authority'} in {used}"
            result.trusted.append(Trusted(used.who, source, name, used.instance, is_api=used.asks_api))


def _show(result: Survey, used: UsedKubeconfig, certificate: Source, key: Source | None) -> None:
    what = "client certificate" if used.asks_api else "client certificate to a webhook"
    names = ("client-certificate", "client-key")
    result.shown.append(Shown(used.who, what, Use.CLIENT, certificate, key, names, used.instance, kubeconfig=used.path))


def edges(result: Survey, components: list[Settings]) -> Iterator[Edge]:
    """Yield who has to trust whom."""
    for one in components:
        if one.instance.name == "kube-apiserver":
            yield from _to_clients(result, one)
            yield from _to_etcd(result, one, components)
            yield from _to_kubelets(result, one, components)
            yield from _to_itself(result, one)
        if one.instance.name == "etcd" and "," in one.get("initial-cluster"):
            effect = "members of etcd do not get together"
            yield from _pairs(result, one, "peer certificate", one, "--peer-trusted-ca-file", effect)


def _to_clients(result: Survey, server: Settings) -> Iterator[Edge]:
    """The API server and whoever has a kubeconfig that leads to it."""
    serving = _shown(result, server, "serving certificate")
    for trusted in result.trusted:
        if trusted.is_api:
            effect = f"{trusted.who} cannot use the API"
            yield from (Edge(shown, trusted, effect) for shown in serving)
        if trusted.name == "--root-ca-file":
            effect = "pods and controllers with a service account cannot use the API"
            yield from (Edge(shown, trusted, effect) for shown in serving)
    for trusted in _trusted(result, server, "--client-ca-file"):
        for shown in result.shown:
            if shown.kubeconfig and shown.what == "client certificate":
                yield Edge(shown, trusted, f"{shown.who} is nobody to the API server")
            if shown.use is Use.SIGNER and shown.names[0] in _CLIENT_SIGNERS and not _is_overridden(result, shown):
                yield Edge(shown, trusted, "kubelets whose certificates it signs are nobody to the API server")


_CLIENT_SIGNERS = ("--cluster-signing-cert-file", "--cluster-signing-kubelet-client-cert-file")


def _is_overridden(result: Survey, shown: Shown) -> bool:
    return shown.names[0] == _CLIENT_SIGNERS[0] and any(one.names[0] == _CLIENT_SIGNERS[1] for one in result.shown)


def _to_etcd(result: Survey, server: Settings, components: list[Settings]) -> Iterator[Edge]:
    for etcd in components:
        if etcd.instance.name == "etcd" and uses_etcd(server, etcd):
            effect = "kube-apiserver cannot use etcd"
            yield from _pairs(result, etcd, "serving certificate", server, "--etcd-cafile", effect)
            yield from _pairs(result, server, "client certificate to etcd", etcd, "--trusted-ca-file", effect)
            for trusted in _trusted(result, etcd, "--trusted-ca-file"):
                for shown in result.shown:
                    if shown.who == "the health check":
                        yield Edge(shown, trusted, "the health of etcd cannot be asked for")


def _to_kubelets(result: Survey, server: Settings, components: list[Settings]) -> Iterator[Edge]:
    for kubelet in components:
        if kubelet.instance.name == "kubelet":
            effect = "`kubectl exec` and `logs` do not work"
            client = "client certificate to kubelets"
            yield from _pairs(result, server, client, kubelet, "--client-ca-file", effect)
            authority = "--kubelet-certificate-authority"
            yield from _pairs(result, kubelet, "serving certificate", server, authority, effect)


def _to_itself(result: Survey, server: Settings) -> Iterator[Edge]:
    effect = "aggregated API servers refuse what kube-apiserver hands on to them"
    client = "front proxy client certificate"
    yield from _pairs(result, server, client, server, "--requestheader-client-ca-file", effect)


def _pairs(result: Survey, shower: Settings, what: str, truster: Settings, flag: str, effect: str) -> Iterator[Edge]:
    for shown in _shown(result, shower, what):
        for trusted in _trusted(result, truster, flag):
            yield Edge(shown, trusted, effect)


def _shown(result: Survey, one: Settings, what: str) -> list[Shown]:
    return [shown for shown in result.shown if shown.instance is one.instance and shown.what == what]


def _trusted(result: Survey, one: Settings, flag: str) -> list[Trusted]:
    return [trusted for trusted in result.trusted if trusted.instance is one.instance and trusted.name == flag]


# --- who talks to which etcd ------------------------------------------------------------------------------------------


def etcd_endpoints(server: Settings) -> Iterator[tuple[str, int]]:
    """Yield host and port of each etcd that the API server reaches by TLS."""
    for url in server.get("etcd-servers").split(","):
        try:
            parts = urlsplit(url.strip())
            if parts.scheme == "https" and parts.hostname:
                yield parts.hostname, parts.port or _ETCD_PORT
        except ValueError:
            continue


def uses_etcd(server: Settings, etcd: Settings) -> bool:
    """Return whether the API server uses this etcd."""
    return bool(dialled(server, etcd))


def dialled(server: Settings, etcd: Settings) -> list[str]:
    """Return the hosts by which the API server reaches this etcd.

    Told by the port, for one address has many names; where several members have the same port, by the name as well.
    """
    own = [*_addresses(etcd, "listen-client-urls"), *_addresses(etcd, "advertise-client-urls")] or [("", _ETCD_PORT)]
    hosts, ports = {one for one, _ in own}, {port for _, port in own}
    found = [name for name, port in etcd_endpoints(server) if port in ports]
    return found if len(found) < 2 else [name for name in found if name in hosts]


def _addresses(etcd: Settings, name: str) -> Iterator[tuple[str, int]]:
    for url in filter(None, etcd.get(name).split(",")):
        try:
            parts = urlsplit(url.strip())
            yield parts.hostname or "", parts.port or _ETCD_PORT
        except ValueError:
            continue
