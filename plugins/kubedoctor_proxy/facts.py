"""What kube-proxy's configuration file says of how it works and where it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from kubedoctor import Look, fact, host


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Fields of a KubeProxyConfiguration; empty where the file is silent."""

    mode: str = ""
    metrics_address: str = ""  # metricsBindAddress
    health_address: str = ""  # healthzBindAddress


@fact("proxy.settings")
def settings(look: Look, path: str, root: int) -> ProxySettings:
    """The mode and the addresses in kube-proxy's configuration file, seen from the root directory of *root*."""
    del look
    document = host.parse_document(host.read_file(path, root=root, limit=256 << 10), host.printable(path))

    def text(name: str) -> str:
        value = host.at(document, name)
        return value if isinstance(value, str) else ""

    return ProxySettings(
        mode=text("mode"), metrics_address=text("metricsBindAddress"), health_address=text("healthzBindAddress")
    )
