"""How the command line of a component in a sandbox reads to who stands outside: only published ports are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from kubedoctor.cluster.documents import PlannedPort


def as_seen_outside(argv: Sequence[str], ports: Sequence[PlannedPort]) -> tuple[str, ...]:
    """Return *argv* with the addresses it binds replaced by those that are bound outside for it.

    A port that is not published is 0, by itself and in URLs: nobody listens there.
    """
    inside = {port.inside: port for port in ports}
    hosts = dict.fromkeys(port.outside_address or "127.0.0.1" for port in ports if port.outside)
    return (*argv[:1], *(_word(word, inside, next(iter(hosts), "")) for word in argv[1:]))


def _word(word: str, inside: Mapping[int, PlannedPort], host: str) -> str:
    name, equals, value = word.partition("=")
    flag = name.lstrip("-")
    if not equals or not name.startswith("-"):
        return word
    if flag in ("bind-address", "address") and host:
        return f"{name}={host}"
    if flag.startswith("listen") or flag.endswith(("port", "bind-address", "address")):
        return f"{name}={','.join(_address(part, inside) for part in value.split(','))}"
    return word


def _address(text: str, inside: Mapping[int, PlannedPort]) -> str:
    """Return an address, URL or port that is one of *inside* as it is outside; anything else as it is."""
    if text.isdecimal():
        port = inside.get(int(text)) if len(text) <= 5 else None
        return text if port is None else str(port.outside)
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = inside.get(parts.port or 0)
    except ValueError:
        return text
    if port is None:
        return text
    address = (port.outside_address if port.outside else parts.hostname) or ("127.0.0.1" if port.outside else "")
    host = f"[{address}]" if ":" in address else address
    return f"{parts.scheme}://{host}:{port.outside}" if parts.scheme else f"{host}:{port.outside}"
