"""What of the configuration files of components names certificates, keys and kubeconfigs: paths, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubedoctor import Look, fact, host

_LIMIT = 256 << 10
"""Bytes of a configuration file; those of kubeadm have 2000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFiles:
    """What a kubelet's configuration file says of its certificates; empty where it is silent."""

    client_ca: str = ""
    certificate: str = ""
    key: str = ""
    cluster_domain: str = ""
    bootstraps_server: bool = False  # serverTLSBootstrap: the cluster signs its serving certificate


def _read(path: str, root: int) -> Any:
    return host.parse_document(host.read_file(path, root=root, limit=_LIMIT), host.printable(path))


def _text(document: Any, *path: str) -> str:
    found = host.at(document, *path)
    return found if isinstance(found, str) else ""


@fact("certs.kubelet-files")
def kubelet_files(look: Look, path: str, root: int) -> KubeletFiles:
    """What a kubelet's configuration file says of its certificates."""
    del look
    document = _read(path, root)
    return KubeletFiles(
        client_ca=_text(document, "authentication", "x509", "clientCAFile"),
        certificate=_text(document, "tlsCertFile"),
        key=_text(document, "tlsPrivateKeyFile"),
        cluster_domain=_text(document, "clusterDomain"),
        bootstraps_server=host.at(document, "serverTLSBootstrap") is True,
    )


@fact("certs.client-kubeconfig")
def client_kubeconfig(look: Look, path: str, root: int) -> str:
    """The kubeconfig that a configuration file of kube-scheduler or kube-proxy names, empty when it names none."""
    del look
    return _text(_read(path, root), "clientConnection", "kubeconfig")


_SECTIONS = {"client-transport-security": "", "peer-transport-security": "peer-"}
_FILES = ("cert-file", "key-file", "client-cert-file", "client-key-file", "trusted-ca-file")
_URLS = ("listen-client-urls", "advertise-client-urls", "initial-cluster")


@fact("certs.etcd-files")
def etcd_files(look: Look, path: str, root: int) -> Mapping[str, str]:
    """The files and addresses that an etcd configuration file names, by the names of the flags it stands for."""
    del look
    document = _read(path, root)
    found = {name: _text(document, name) for name in _URLS}
    for section, prefix in _SECTIONS.items():
        found |= {f"{prefix}{name}": _text(document, section, name) for name in _FILES}
        found[f"{prefix}client-cert-auth"] = str(host.at(document, section, "client-cert-auth") is True).lower()
    return {name: value for name, value in found.items() if value}
