"""The routes of a network namespace, from rtnetlink. Standard library only."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.agent import netlink_dump
from kubedoctor.host.interfaces import links, parse_address
from kubedoctor.host.netlink import ROUTE, attribute_list, attributes, dump_request, messages, u32
from kubedoctor.records import dataclass

MAIN = 254
"""The table that is asked unless a rule says otherwise."""

_NEWROUTE, _GETROUTE = 24, 26  # linux/rtnetlink.h
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, destination and source length, tos, table, protocol, scope, type, flags
_HOP = struct.Struct("=HBBi")  # length, flags, hops, index: struct rtnexthop
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _MULTIPATH, _TABLE, _VIA = 1, 4, 5, 6, 7, 9, 15, 18
_LOCAL_TABLE = 255
_CACHED = 0x200  # RTM_F_CLONED: an exception learnt for one destination
_KINDS = {1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
_WIDTH = {2: 32, 10: 128}  # bits of an address, by family: AF_INET, AF_INET6


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route. `kind` is unicast, or what becomes of packets instead: unreachable, blackhole, prohibit, throw."""

    destination: str  # 0.0.0.0/0 and ::/0 are the default routes
    kind: str = "unicast"
    gateway: str = ""
    link: str = ""
    source: str = ""  # the address that packets get when their sender chose none
    metric: int = 0  # the smallest one wins
    table: int = MAIN

    @property
    def is_default(self) -> bool:
        """Return whether it takes what no other route takes."""
        return self.destination.endswith("/0")


@fact("host.routes")
def routes(look: Look, net: int) -> tuple[Route, ...]:
    """The routes, IPv4 and IPv6, in the network namespace of process *net* (0: ours), without those to itself."""
    names = {link.index: link.name for link in look.get(links, net)}
    return parse_routes(netlink_dump(ROUTE, dump_request(_GETROUTE, _ROUTE.pack(*[0] * 9)), net=net), names)


def default_routes(found: Iterable[Route], version: int = 4) -> tuple[Route, ...]:
    """Return the routes of the main table that lead to everywhere, for IP *version*, the one that is used first."""
    everywhere = "0.0.0.0/0" if version == 4 else "::/0"
    usable = [one for one in found if one.destination == everywhere and (one.kind, one.table) == ("unicast", MAIN)]
    return tuple(sorted(usable, key=lambda one: one.metric))


def route_to(found: Iterable[Route], address: str) -> Route | None:
    """Return the route of the main table that packets to *address* take, None when there is none.

    Rules that choose another table are not looked at. Addresses of the machine itself are in none of these routes.
    """
    wanted = ipaddress.ip_address(address)
    best: tuple[int, int] | None = None
    chosen = None
    for one in found:
        if one.table != MAIN or one.kind == "throw":
            continue
        network = ipaddress.ip_network(one.destination)
        if wanted in network and (best is None or (-network.prefixlen, one.metric) < best):
            best, chosen = (-network.prefixlen, one.metric), one
    return chosen


def parse_routes(data: bytes, names: dict[int, str]) -> tuple[Route, ...]:
    """Return the routes of a dump, with the names of interfaces by index; raise Malformed.

    Left out: broadcast, multicast, the local table, routes learnt for one destination, families that are not IP.
    """
    found = []
    for kind, body in messages(data):
        if kind != _NEWROUTE:
            continue
        if len(body) < _ROUTE.size:
            raise Malformed("a route is cut short")
        family, length, _, _, table, _, _, number, flags = _ROUTE.unpack_from(body)
        if number not in _KINDS or family not in _WIDTH or flags & _CACHED or length > _WIDTH[family]:
            continue
        values = attributes(body, _ROUTE.size)
        table = u32(values.get(_TABLE), table)
        if table == _LOCAL_TABLE:
            continue
        packed = values.get(_DST, b"").ljust(_WIDTH[family] // 8, b"\0")
        destination = parse_address(packed)
        if destination is None:
            raise Malformed("a route has a destination that is no address")
        gateway, link = _next_hop(values, names)
        found.append(
            Route(
                destination=f"{_network(packed, length)}/{length}",
                kind=_KINDS[number],
                gateway=gateway,
                link=link,
                source=_address(values.get(_PREFSRC, b"")),
                metric=u32(values.get(_PRIORITY)),
                table=table,
            )
        )
    return tuple(found)


def _network(packed: bytes, length: int) -> str:
    width = len(packed) * 8
    masked = int.from_bytes(packed, "big") >> (width - length) << (width - length)
    return _address(masked.to_bytes(len(packed), "big"))


def _next_hop(values: dict[int, bytes], names: dict[int, str]) -> tuple[str, str]:
    """Return gateway and interface; of several next hops the first, which stands for them."""
    gateway = _address(values.get(_GATEWAY, b"")) or _address(values.get(_VIA, b"")[2:])  # via: family, address
    index = u32(values.get(_OIF))
    hops = values.get(_MULTIPATH, b"")
    if not index and len(hops) >= _HOP.size:
        length, _, _, index = _HOP.unpack_from(hops)
        if length < _HOP.size or length > len(hops):
            raise Malformed("a route's next hop has a wrong length")
        own = dict(attribute_list(hops[_HOP.size : length]))
        gateway = _address(own.get(_GATEWAY, b"")) or _address(own.get(_VIA, b"")[2:])
    return gateway, names.get(index, f"#{index}") if index else ""


def _address(packed: bytes) -> str:
    address = parse_address(packed)
    return str(address) if address is not None else ""
