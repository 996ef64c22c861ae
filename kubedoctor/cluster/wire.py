"""The wire between a sandbox and the host: a veth pair, for `--uplink` and `--attach`. Standard library only.

The keeper makes it and holds what has to be held; the supervisor sets its own end up. The kernel removes it with the
sandbox's network namespace, some time after its last process, and all routes by it; an orderly end does not wait.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
from pathlib import Path

from kubedoctor.cluster import masquerade
from kubedoctor.cluster.documents import Wire
from kubedoctor.cluster.netlink import CREATE, EXCLUSIVE, REPLACE, ROUTE, Netlink, attribute, nested, text
from kubedoctor.records import dataclass

INSIDE = "uplink"
"""Its name in the sandbox; outside it has its number: kd-wire0."""
OUTSIDE = "kd-wire"
MOST = 1 << 14
"""Wires have /30s of 198.19.0.0/16, the upper half of what is reserved for benchmarking: on no one's network."""

_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 17, 20, 24  # linux/rtnetlink.h: RTM_*
_LINK, _ADDRESS, _ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_UP, _SIOCGIFMTU = 1, 0x8921
_MAIN, _BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1
_PREFIX = 30
TABLE = "kubedoctor-"


@dataclass(frozen=True, slots=True)
class Numbered:
    """The names and addresses of a wire."""

    number: int

    @property
    def interface(self) -> str:
        """Of the host's end."""
        return f"{OUTSIDE}{self.number}"

    @property
    def host(self) -> str:
        """The address of the host's end."""
        return self._address(1)

    @property
    def inside(self) -> str:
        """The address of the sandbox's end."""
        return self._address(2)

    def _address(self, last: int) -> str:
        return f"198.19.{self.number >> 6}.{(self.number & 63) * 4 + last}"


class Outside:
    """The host's end of the wire of one sandbox."""

    def __init__(self, wanted: Wire) -> None:
        self._wanted = wanted
        self._index = 0
        self._table: Netlink | None = None  # open as long as the keeper lives

    def connect(self, pid: int) -> int:
        """Make the wire to the network namespace of process *pid*; return its number. Raise OSError with the reason."""
        mtu = interface_mtu(default_interface()) if self._wanted.uplink else 0
        with Netlink(ROUTE) as talk:
            wire = _made(talk, pid, mtu)
            self._index = socket.if_nametoindex(wire.interface)
            set_up(talk, wire.interface, wire.host)
            for destination in self._wanted.routes:
                try:
                    _add_route(talk, wire.interface, destination, wire.inside, flags=CREATE | EXCLUSIVE)
                except OSError as problem:
                    raise OSError(problem.errno, f"a route to {destination}: {problem.strerror}") from None
        if self._wanted.uplink:
            # What comes in by it is forwarded; replies come in by the uplink, where `up` has seen it on.
            Path(f"/proc/sys/net/ipv4/conf/{wire.interface}/forwarding").write_text("1\n")
            self._table = masquerade.of_source(f"{TABLE}{wire.interface}", wire.inside)
        return wire.number

    def disconnect(self) -> None:
        """Remove the wire, if the kernel has not done so."""
        if self._table is not None:
            self._table.close()
        if self._index:
            with contextlib.suppress(OSError), Netlink(ROUTE) as talk:
                talk.ask(_DELETE_LINK, _LINK.pack(0, 0, self._index, 0, 0))


def join(number: int, wanted: Wire) -> None:
    """Set the sandbox's end up, from inside."""
    wire = Numbered(number)
    with Netlink(ROUTE) as talk:
        set_up(talk, INSIDE, wire.inside)
        if wanted.uplink:
            _add_route(talk, INSIDE, "0.0.0.0/0", wire.host, flags=CREATE | REPLACE)
    if wanted.uplink:
        masquerade.by_interface(f"{TABLE}{INSIDE}", INSIDE)


def _made(talk: Netlink, pid: int, mtu: int) -> Numbered:
    """Make a pair under the first number that is free: the kernel gives a name once."""
    size = attribute(4, struct.pack("=I", mtu)) if mtu else b""
    there = attribute(19, struct.pack("=I", pid))  # IFLA_NET_NS_PID
    peer = attribute(1, _LINK.pack(0, 0, 0, 0, 0) + text(3, INSIDE) + size + there)
    for number in range(MOST):
        wire = Numbered(number)
        if _is_used(wire):
            continue
        veth = nested(18, text(1, "veth"), nested(2, peer))
        try:
            talk.ask(_NEW_LINK, _LINK.pack(0, 0, 0, 0, 0) + text(3, wire.interface) + size + veth, CREATE | EXCLUSIVE)
        except OSError as problem:
            if problem.errno != errno.EEXIST:
                raise
        else:
            return wire
    raise OSError(errno.EADDRNOTAVAIL, "all addresses of 198.19.0.0/16 are taken")


def set_up(talk: Netlink, interface: str, address: str) -> None:
    """Give an end its address and bring it up."""
    index, packed = socket.if_nametoindex(interface), socket.inet_aton(address)
    body = _ADDRESS.pack(socket.AF_INET, _PREFIX, 0, _UNIVERSE, index) + attribute(2, packed) + attribute(1, packed)
    talk.ask(_NEW_ADDRESS, body, CREATE | EXCLUSIVE)
    talk.ask(_NEW_LINK, _LINK.pack(0, 0, index, _UP, _UP))


def _add_route(talk: Netlink, interface: str, destination: str, gateway: str, *, flags: int) -> None:
    address, _, length = destination.partition("/")
    body = _ROUTE.pack(socket.AF_INET, int(length), 0, 0, _MAIN, _BOOT, _UNIVERSE, _UNICAST, 0)
    if int(length):
        body += attribute(1, socket.inet_aton(address))
    body += attribute(4, struct.pack("=I", socket.if_nametoindex(interface)))
    talk.ask(_NEW_ROUTE, body + attribute(5, socket.inet_aton(gateway)), flags)


def routes() -> list[tuple[str, int, int]]:
    """Return interface, destination and mask of the routes for IPv4, as numbers in the machine's byte order."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            words = line.split()
            found.append((words[0], int(words[1], 16), int(words[7], 16)))
    return found


def default_interface() -> str:
    """Return the interface of the default route that counts, "" when there is none."""
    return next((name for name, destination, mask in routes() if not destination and not mask), "")


def interface_mtu(interface: str) -> int:
    """Return how large packets may be there, 0 when nothing tells."""
    if not interface:
        return 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, contextlib.suppress(OSError):
        answer = fcntl.ioctl(control, _SIOCGIFMTU, struct.pack("16s24s", interface.encode(), b""))
        return int(struct.unpack_from("=i", answer, 16)[0])
    return 0


def _is_used(wire: Numbered) -> bool:
    """Return whether a route leads where the wire would be; wide ones of a sandbox around us do not count."""
    (address,) = struct.unpack("=I", socket.inet_aton(wire.host))
    return any(mask.bit_count() > 16 and address & mask == destination for _, destination, mask in routes())
