"""Registry mirrors: `REGISTRY=URL`, and how containerd inside a sandbox names one of the host's loopback."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from kubedoctor.errors import ConfigError
from kubedoctor.records import dataclass

_REGISTRY = re.compile(r"\*|[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\]")
_URL = re.compile(r"https?://[^\s?#@]+")
_PATH = re.compile(r"[-A-Za-z0-9._~/%]*")

OF_THE_HOST = "localhost."
"""The host's loopback, inside. Go's programs never ask a proxy for `localhost`; with the dot it is the same name in
certificates, and another one to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Where images of a registry (`*`: of every one) are looked for before it is asked itself.

    `url` is as a sandbox has it. `loopback` is its port when it is on the host's own loopback, else 0. `path`: it names
    the whole path of the API, as mirrors below a path of another server do.
    """

    registry: str
    url: str
    loopback: int = 0
    path: bool = False


def parse_mirror(text: str) -> Mirror:
    """Return what `REGISTRY=URL` says; raise ConfigError when it says nothing, or names what has no way to it."""
    registry, equals, url = text.partition("=")
    if not equals or not _REGISTRY.fullmatch(registry):
        raise ConfigError(f"expected REGISTRY=URL, found `{_shown(text)}`", hint="docker.io=http://127.0.0.1:5000")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    netloc = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    if not _URL.fullmatch(url) or not _HOST.fullmatch(netloc) or not _PATH.fullmatch(parts.path):
        raise ConfigError(
            f"expected the URL of a registry, found `{_shown(url)}`",
            hint="such as http://127.0.0.1:5000; without a user, a query or spaces",
        )
    number = port or (443 if parts.scheme == "https" else 80)
    on_host = _is_hosts_own(host)
    path = parts.path.rstrip("/")
    return Mirror(
        registry=registry,
        url=f"{parts.scheme}://{f'{OF_THE_HOST}:{number}' if on_host else parts.netloc}{path}",
        loopback=number if on_host else 0,
        path=bool(path),
    )


def _is_hosts_own(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback and str(address) not in ("127.0.0.1", "::1"):
        raise ConfigError(f"no way leads from a sandbox to {host}", hint="name it as 127.0.0.1 or localhost")
    return address.is_loopback


def _shown(text: str) -> str:
    text = text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= 60 else text[:57] + "…"
