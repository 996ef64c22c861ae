"""Where components listen, and whom they talk to, as their command lines, environments and files say."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from kubedoctor.doctor.discovery.settings import (
    client_kubeconfig,
    etcd_settings,
    kubelet_settings,
    runtime_address,
)
from kubedoctor.facts import Absent, FactError, Look
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

DEFAULT_RUNTIME = "unix:///run/containerd/containerd.sock"
"""Where a kubelet looks for its runtime unless told otherwise, since 1.24."""
_PORTS = {"http": 80, "https": 443}
_RUNTIME_FILES = {"containerd": "/etc/containerd/config.toml", "crio": "/etc/crio/crio.conf"}
_RUNTIME_SOCKETS = {
    "containerd": "/run/containerd/containerd.sock",
    "crio": "/run/crio/crio.sock",
    "cri-dockerd": "/run/cri-dockerd.sock",
    "dockerd": "/run/docker.sock",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""


def endpoint(text: str, *, port: int = 0) -> Endpoint | None:
    """Return what an address or URL names, *port* where it has none; None when it cannot be told."""
    if text.startswith(("/", "unix:")):
        path = text.removeprefix("unix:")
        return Endpoint(path=f"/{path.lstrip('/')}".replace("/var/run/", "/run/", 1))
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        number = (port or _PORTS.get(parts.scheme, 0)) if parts.port is None else parts.port
    except ValueError:
        return None
    return Endpoint(host=parts.hostname or "", port=number) if number else None


def endpoints(text: str, *, port: int = 0) -> frozenset[Endpoint]:
    """Return what a list with commas names."""
    found = (endpoint(part.strip(), port=port) for part in text.split(",") if part.strip())
    return frozenset(one for one in found if one is not None)


def meets(needed: Endpoint, offered: Endpoint) -> bool:
    """Return whether a client of *needed* may be one of the server at *offered*, on one machine.

    Names other than localhost, and servers that listen everywhere, may be any address: the port decides.
    """
    if needed.path or offered.path:
        return needed.path == offered.path
    if needed.port != offered.port:
        return False
    there, here = _address(needed.host), _address(offered.host)
    if there is None or here is None or here.is_unspecified or there.is_unspecified:
        return True
    return there == here or (there.is_loopback and here.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address *host* is, None when that cannot be told."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host or "0.0.0.0")  # noqa: S104 - nothing is bound
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine by its own name for itself."""
    found = _address(host)
    return found is not None and (found.is_loopback or found.is_unspecified)


def path_of(instance: Instance, flag: str) -> str:
    """Return the path a flag names, from its working directory on; "" when there is no such flag or no saying."""
    value = instance.flag(flag)
    if not value or value.startswith("/"):
        return value
    return f"{instance.directory}/{value}" if instance.directory else ""


# --- etcd, the API, its clients ---------------------------------------------------------------------------------------


def etcd_value(look: Look, instance: Instance, name: str, default: str = "") -> str:
    """Return a setting of an etcd: of its file, which excludes flags, its flag, or its environment."""
    if file := path_of(instance, "config-file"):
        try:
            return look.get(etcd_settings, file, instance.root).get(name, default)
        except FactError:
            return default
    return instance.flag(name) or instance.environment.get(f"ETCD_{name.upper().replace('-', '_')}", default)


def etcd_clients(look: Look, instance: Instance) -> frozenset[Endpoint]:
    """Return where an etcd is reached by clients."""
    listened = etcd_value(look, instance, "listen-client-urls", "http://localhost:2379")
    return endpoints(listened) | endpoints(etcd_value(look, instance, "advertise-client-urls"))


def etcd_peers(look: Look, instance: Instance) -> tuple[frozenset[Endpoint], frozenset[Endpoint]]:
    """Return where an etcd is reached by its peers, and where it expects them."""
    members = etcd_value(look, instance, "initial-cluster")
    expected = ",".join(member.partition("=")[2] for member in members.split(","))
    return endpoints(etcd_value(look, instance, "listen-peer-urls", "http://localhost:2380")), endpoints(expected)


def api_address(instance: Instance) -> Endpoint | None:
    """Return where an API server listens."""
    host = instance.flag("bind-address", "0.0.0.0")  # noqa: S104 - its default, nothing is bound
    port = instance.flag("https-listen-port" if instance.name == "k3s" else "secure-port", "6443")
    return endpoint(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def stores(instance: Instance) -> frozenset[Endpoint]:
    """Return the etcds that an API server stores in."""
    return endpoints(instance.flag("etcd-servers"))


def wanted_api(look: Look, instance: Instance) -> Endpoint | None:
    """Return the API server that a component is told to use, None when it is not told; raise FactError."""
    if master := instance.flag("master"):
        return endpoint(master)
    from kubedoctor.host.kubeconfigs import kubeconfig  # brings cryptography, which one cluster alone does not need

    for path in _kubeconfigs(look, instance):
        try:
            cluster = look.get(kubeconfig, path, instance.root).cluster
        except Absent:
            continue  # a kubelet that has not been given its own yet has one to begin with
        return Endpoint(host=cluster.host, port=cluster.port) if cluster and cluster.port else None
    return None


def _kubeconfigs(look: Look, instance: Instance) -> Iterator[str]:
    config = path_of(instance, "config")
    if instance.name in ("kube-scheduler", "kube-proxy") and config and not instance.flag("kubeconfig"):
        yield look.get(client_kubeconfig, config, instance.root)
        return
    yield from (path for flag in ("kubeconfig", "bootstrap-kubeconfig") if (path := path_of(instance, flag)))


# --- runtimes ---------------------------------------------------------------------------------------------------------


def runtime_socket(look: Look, instance: Instance) -> frozenset[Endpoint]:
    """Return where a container runtime is reached."""
    flags = {"containerd": ("address", "a"), "crio": ("listen",), "dockerd": ("host", "H")}
    names = flags.get(instance.name, ("container-runtime-endpoint",))
    if given := [value for name in names for value in instance.flags.get(name, ()) if value != "fd://"]:
        return endpoints(",".join(given))
    default = _RUNTIME_SOCKETS[instance.name]
    if instance.name in _RUNTIME_FILES:
        file = path_of(instance, "config") or path_of(instance, "c") or _RUNTIME_FILES[instance.name]
        with suppress(FactError):  # the default is what most have
            default = look.get(runtime_address, file, instance.root) or default
    return endpoints(default)


def wanted_runtime(look: Look, instance: Instance) -> Endpoint | None:
    """Return the runtime that a kubelet, cri-dockerd or dockerd works with; raise FactError."""
    if instance.name == "cri-dockerd":
        return endpoint(instance.flag("docker-endpoint", _RUNTIME_SOCKETS["dockerd"]))
    if instance.name == "dockerd":
        return endpoint(instance.flag("containerd", _RUNTIME_SOCKETS["containerd"]))
    if told := instance.flag("container-runtime-endpoint"):
        return endpoint(told)
    if file := path_of(instance, "config"):
        return endpoint(look.get(kubelet_settings, file, instance.root).runtime or DEFAULT_RUNTIME)
    return endpoint(DEFAULT_RUNTIME)
