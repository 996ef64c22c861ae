"""What of the files that components are configured with tells who talks to whom: addresses and paths, nothing else.

Each is a fact of a file and the root directory it is seen from. They raise Absent, Denied or Malformed.
"""

from __future__ import annotations

from kubedoctor.facts import Look, fact
from kubedoctor.host import printable, read_file, redacted
from kubedoctor.host.documents import Value, at, parse_document
from kubedoctor.records import dataclass

_LIMIT = 256 << 10
"""Bytes of a configuration file: kubeconfigs with certificates in them have some ten thousand."""


def _text(value: Value, *path: str) -> str:
    found = at(value, *path)
    return redacted([found])[0] if isinstance(found, str) else ""


@fact("targets.client-kubeconfig")
def client_kubeconfig(look: Look, path: str, root: int) -> str:
    """The kubeconfig that a configuration file of kube-scheduler or kube-proxy names, "" when it names none."""
    del look
    return parse_client_kubeconfig(read_file(path, root=root, limit=_LIMIT), path)


def parse_client_kubeconfig(content: bytes, path: str) -> str:
    """Return the kubeconfig that the file names, "" when it names none; raise Malformed."""
    return _text(parse_document(content, printable(path)), "clientConnection", "kubeconfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletSettings:
    """What of a kubelet's configuration file says with whom it works; empty where the file is silent."""

    runtime: str = ""  # containerRuntimeEndpoint
    static_pods: str = ""  # staticPodPath


@fact("targets.kubelet-settings")
def kubelet_settings(look: Look, path: str, root: int) -> KubeletSettings:
    """The runtime endpoint and the directory of static pods in a kubelet's configuration file."""
    del look
    return parse_kubelet_settings(read_file(path, root=root, limit=_LIMIT), path)


def parse_kubelet_settings(content: bytes, path: str) -> KubeletSettings:
    """Return what the file says; raise Malformed."""
    config = parse_document(content, printable(path))
    return KubeletSettings(
        runtime=_text(config, "containerRuntimeEndpoint"), static_pods=_text(config, "staticPodPath")
    )


@fact("targets.etcd-settings")
def etcd_settings(look: Look, path: str, root: int) -> dict[str, str]:
    """The URLs and the data directory in an etcd configuration file, which counts instead of its flags."""
    del look
    return parse_etcd_settings(read_file(path, root=root, limit=_LIMIT), path)


def parse_etcd_settings(content: bytes, path: str) -> dict[str, str]:
    """Return what the file says; raise Malformed."""
    config = parse_document(content, printable(path))
    names = ("listen-client-urls", "advertise-client-urls", "listen-peer-urls", "initial-cluster", "data-dir")
    return {name: text for name in names if (text := _text(config, name))}


@fact("targets.runtime-address")
def runtime_address(look: Look, path: str, root: int) -> str:
    """The socket that a configuration file of containerd (grpc.address) or CRI-O (crio.api.listen) names, or ""."""
    del look
    return parse_runtime_address(read_file(path, root=root, limit=_LIMIT), path)


def parse_runtime_address(content: bytes, path: str) -> str:
    """Return the socket that the TOML text names, "" when it names none; raise Malformed."""
    from kubedoctor.host.toml import parse_toml  # most clusters have no such file

    config: Value = parse_toml(content, path)
    return _text(config, "grpc", "address") or _text(config, "crio", "api", "listen")
