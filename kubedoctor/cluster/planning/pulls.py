"""Image pulls of a sandbox: what the keeper's proxy may reach, and by which proxy of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from kubedoctor.cluster.documents import Pulls
from kubedoctor.components import Component
from kubedoctor.config import PULL_PROXY, ClusterConfig


def planned_pulls(
    config: ClusterConfig, components: Mapping[str, Component], caller: Mapping[str, str]
) -> tuple[Pulls | None, list[str]]:
    """Return the proxy for pulls, None where no component uses it, and lines on what it does not honour.

    *caller* is the environment of `up`, whose HTTPS_PROXY, HTTP_PROXY and NO_PROXY count outside.
    """
    wanted = config.pull_proxy
    if not wanted or not any(wanted in component.env.values() for component in components.values()):
        return None, []
    http, https = _variable(caller, "HTTP_PROXY"), _variable(caller, "HTTPS_PROXY")
    notes = [
        f"{name} is not used for image pulls: it is no proxy that speaks plain HTTP"
        for name, value in (("HTTP_PROXY", http), ("HTTPS_PROXY", https))
        if value and not _understood(value)
    ]
    address, port = PULL_PROXY
    pulls = Pulls(
        address=address,
        port=port,
        loopback=tuple(sorted({mirror.loopback for mirror in config.mirrors if mirror.loopback})),
        http_proxy=_understood(http),
        https_proxy=_understood(https),
        no_proxy=_variable(caller, "NO_PROXY"),
    )
    return pulls, notes


def _variable(caller: Mapping[str, str], name: str) -> str:
    """Return a variable in the spelling that Go's programs prefer."""
    return (caller.get(name) or caller.get(name.lower()) or "").strip()


def _understood(value: str) -> str:
    """Return the URL of a proxy with scheme and port; "" when it is none we can speak with."""
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return ""
    if parts.scheme != "http" or not parts.hostname or not url.isprintable():
        return ""
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{user}{at}{host}:{port}"
