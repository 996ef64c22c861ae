"""How the proxy for image pulls gets to a registry: itself, or by the user's own proxy. Standard library only."""

from __future__ import annotations

import base64
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from kubedoctor.cluster.documents import Pulls
from kubedoctor.cluster.pull_request import Refused, Request
from kubedoctor.records import dataclass

_LOOPBACK = ("127.0.0.1", "::1")
Resolve = Callable[[str, int], list[tuple[str, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds until a registry counts as one that hangs."""

    lookup: float = 20.0  # glibc gives up after 5 s and 2 tries for each of up to 3 name servers
    connect: float = 20.0  # for all its addresses
    silence: float = 120.0  # nothing in either direction; registries that fetch on demand take their time


LIMITS = Limits()


def upstream_of(pulls: Pulls, request: Request) -> str:
    """Return the proxy of the user's that the request goes by, "" for none; loopback addresses never do."""
    proxy = pulls.https_proxy if request.is_tunnel else pulls.http_proxy
    if not proxy or is_hosts_own(request.host) or is_exempt(pulls.no_proxy, request.host, request.port):
        return ""
    return proxy


def is_hosts_own(host: str) -> bool:
    """Return whether a name or address means the machine itself without any look-up."""
    if host.rstrip(".").lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and _is_loopback(address)


def is_exempt(no_proxy: str, host: str, port: int) -> bool:
    """Return whether NO_PROXY names *host*, as Go's programs read it: `*`, addresses, ranges, domains, each with port.

    `example.com` means the domain and all below, `.example.com` only what is below.
    """
    name, address = host.rstrip(".").lower(), _address(host)
    for entry in filter(None, (part.strip().lower() for part in no_proxy.split(","))):
        if entry == "*":
            return True
        wanted, number = _split_port(entry)
        if number and number != port:
            continue
        if address is not None:
            if _contains(wanted, address):
                return True
            continue
        domain = wanted.removeprefix("*").rstrip(".")
        if name.endswith(domain if domain.startswith(".") else f".{domain}") or name == domain:
            return True
    return False


def connect(pulls: Pulls, request: Request, limits: Limits) -> tuple[socket.socket, str]:
    """Return a connection for *request* and the proxy it goes by, "" for none; raise Refused with the reason."""
    proxy = upstream_of(pulls, request)
    if not proxy:
        return _connected(request.where, _targets(pulls, request, limits), limits), ""
    parts = urlsplit(proxy)
    host, port = parts.hostname or "", parts.port or 80
    name = f"the proxy {host}:{port}"
    return _connected(name, _look_up(host, port, limits), limits), proxy


def credentials_of(proxy: str) -> tuple[str, ...]:
    """Return the header that a proxy with a user in its URL wants, as none or one line."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ()
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return (f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}",)


def _targets(pulls: Pulls, request: Request, limits: Limits) -> list[tuple[str, int]]:
    """Return the addresses to try. The machine's own are for mirrors alone, whatever name leads to them."""
    if request.host.rstrip(".").lower() == "localhost":
        found = [(address, request.port) for address in _LOOPBACK]
    else:
        found = _look_up(request.host, request.port, limits)
    if request.port not in pulls.loopback:
        found = [entry for entry in found if not is_hosts_own(entry[0])]
        if not found:
            raise Refused(
                403, f"kubedoctor: {request.where} is the machine itself, which --registry-mirror does not name"
            )
    return found


def _look_up(host: str, port: int, limits: Limits) -> list[tuple[str, int]]:
    """Return the addresses of a name; the look-up has a thread of its own, for nothing ends one that hangs."""
    if _address(host) is not None:
        return [(host, port)]
    answers: list[list[tuple[str, int]] | OSError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append([(str(entry[4][0]), port) for entry in found])
        except (OSError, UnicodeError) as problem:
            answers.append(problem if isinstance(problem, OSError) else OSError(0, "it cannot be a name"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limits.lookup)
    if not answers:
        raise Refused(504, f"kubedoctor: looking up {host} takes longer than {limits.lookup:g} s")
    if isinstance(found := answers[0], OSError):
        raise Refused(502, f"kubedoctor: cannot look up {host}: {found.strerror or found}")
    return found


def _connected(name: str, targets: list[tuple[str, int]], limits: Limits) -> socket.socket:
    """Return a connection to the first address that takes one."""
    deadline, why = time.monotonic() + limits.connect, "it has no address"
    for position, target in enumerate(targets):
        patience = (deadline - time.monotonic()) / (len(targets) - position)
        try:
            return socket.create_connection(target, max(0.1, patience))
        except TimeoutError:
            why = f"no answer within {limits.connect:g} s"
        except OSError as problem:
            why = (problem.strerror or str(problem)).lower()
    raise Refused(504 if "within" in why else 502, f"kubedoctor: cannot connect to {name}: {why}")


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if address.version == 6 else address


def _is_loopback(address: Address) -> bool:
    return address.is_loopback or address.is_unspecified  # the kernel takes 0.0.0.0 and :: for the machine itself


def _split_port(entry: str) -> tuple[str, int]:
    bare, _, digits = entry.rpartition(":")
    if bare and digits.isascii() and digits.isdecimal() and (":" not in bare or bare.endswith("]")):
        return bare.strip("[]"), int(digits[:6])
    return entry.strip("[]"), 0


def _contains(entry: str, address: Address) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return address in network
