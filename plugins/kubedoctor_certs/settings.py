"""What a component is set to, by the names of its flags, whether flags, variables or a file say so."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubedoctor import FactError, Instance
from kubedoctor_certs.facts import client_kubeconfig, etcd_files, kubelet_files
from kubedoctor_certs.sight import Sight

_ETCD_PREFIX = "ETCD_"


@dataclass(frozen=True, slots=True)
class Settings:
    """A component with its settings."""

    instance: Instance
    values: Mapping[str, str]

    def get(self, name: str, default: str = "") -> str:
        """Return a setting."""
        return self.values.get(name) or default

    def path(self, name: str, default: str = "") -> str:
        """Return the absolute path that a setting names; empty when there is none, or it is relative to who knows."""
        value = self.get(name, default)
        if not value or value.startswith("/"):
            return value
        return posixpath.join(self.instance.directory, value) if self.instance.directory else ""


def settings_of(sight: Sight, instance: Instance) -> Settings:
    """Return the settings of the component."""
    flags = {name: values[-1] for name, values in instance.flags.items()}
    read = _READERS.get(instance.name)
    return Settings(instance, read(sight, instance, flags) if read else flags)


def _file(instance: Instance, value: str) -> str:
    return Settings(instance, {"": value}).path("")


def _etcd(sight: Sight, instance: Instance, flags: Mapping[str, str]) -> Mapping[str, str]:
    """A configuration file excludes flags and environment; a flag wins over its variable."""
    if file := _file(instance, flags.get("config-file", "") or instance.environment.get("ETCD_CONFIG_FILE", "")):
        found = sight.settings(etcd_files, file, instance.root)
        return {} if isinstance(found, FactError) else found
    variables = {
        name.removeprefix(_ETCD_PREFIX).lower().replace("_", "-"): value
        for name, value in instance.environment.items()
        if name.startswith(_ETCD_PREFIX)
    }
    return {**variables, **flags}


def _kubelet(sight: Sight, instance: Instance, flags: Mapping[str, str]) -> Mapping[str, str]:
    """A flag wins over the file."""
    file = _file(instance, flags.get("config", ""))
    if not file:
        return flags
    found = sight.settings(kubelet_files, file, instance.root)
    if isinstance(found, FactError):
        return flags
    values = {
        "client-ca-file": found.client_ca,
        "tls-cert-file": found.certificate,
        "tls-private-key-file": found.key,
        "cluster-domain": found.cluster_domain,
        "server-tls-bootstrap": "true" if found.bootstraps_server else "",
    }
    return {**values, **flags}


def _configured_client(sight: Sight, instance: Instance, flags: Mapping[str, str]) -> Mapping[str, str]:
    """The kubeconfig of a configuration file counts, not the one of the flag."""
    file = _file(instance, flags.get("config", ""))
    if not file:
        return flags
    found = sight.settings(client_kubeconfig, file, instance.root)
    if isinstance(found, FactError):
        return flags
    return {**flags, "kubeconfig": found}


_READERS: Mapping[str, Callable[[Sight, Instance, Mapping[str, str]], Mapping[str, str]]] = {
    "etcd": _etcd,
    "kubelet": _kubelet,
    "kube-scheduler": _configured_client,
    "kube-proxy": _configured_client,
}
