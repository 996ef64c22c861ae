"""The network interfaces of a network namespace and their addresses, from rtnetlink. Standard library only."""

from __future__ import annotations

import ipaddress
import struct

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.agent import netlink_dump
from kubedoctor.host.netlink import ROUTE, attributes, dump_request, messages, text, u32
from kubedoctor.records import dataclass

_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22  # linux/rtnetlink.h
_LINK = struct.Struct("=BxHiII")  # family, hardware type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_OPERSTATE, _IFLA_LINKINFO = 3, 4, 5, 10, 16, 18
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UP = 1
_LOOPBACK = 772  # ARPHRD_LOOPBACK
_STATES = ("unknown", "not-present", "down", "lower-layer-down", "testing", "dormant", "up")  # RFC 2863
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface. `is_up`: switched on; `state`: whether it works, as RFC 2863 says it (`up`, `down`)."""

    name: str
    index: int
    kind: str = ""  # bridge, veth, vxlan, dummy …; loopback; empty for hardware
    mtu: int = 0
    is_up: bool = False
    state: str = "unknown"
    master: str = ""  # the bridge or bond it belongs to
    under: str = ""  # the interface it stands on: the uplink of a vxlan or vlan, when it is in this namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address of an interface; `network` is it with its prefix length, as in `10.0.0.7/24`."""

    address: str
    network: str
    link: str
    scope: str = "global"  # global, link, host


@fact("host.links")
def links(look: Look, net: int) -> tuple[Link, ...]:
    """The network interfaces in the network namespace of process *net* (0: ours), by index."""
    del look
    return parse_links(netlink_dump(ROUTE, dump_request(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)), net=net))


@fact("host.addresses")
def addresses(look: Look, net: int) -> tuple[Address, ...]:
    """The addresses of all interfaces in the network namespace of process *net* (0: ours), IPv4 first."""
    names = {link.index: link.name for link in look.get(links, net)}
    return parse_addresses(netlink_dump(ROUTE, dump_request(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)), net=net), names)


def parse_links(data: bytes) -> tuple[Link, ...]:
    """Return the interfaces of a dump; raise Malformed."""
    found: dict[int, tuple[Link, int, int]] = {}
    for kind, body in messages(data):
        if kind != _NEWLINK:
            continue
        if len(body) < _LINK.size:
            raise Malformed("a network interface is cut short")
        _, hardware, index, flags, _ = _LINK.unpack_from(body)
        values = attributes(body, _LINK.size)
        state = values.get(_IFLA_OPERSTATE, b"\0")[:1]
        link = Link(
            name=text(values.get(_IFLA_IFNAME, b"")) or f"#{index}",
            index=index,
            kind="loopback" if hardware == _LOOPBACK else text(_kind(values)),
            mtu=u32(values.get(_IFLA_MTU)),
            is_up=bool(flags & _UP),
            state=_STATES[state[0]] if state and state[0] < len(_STATES) else "unknown",
        )
        found[index] = (link, u32(values.get(_IFLA_MASTER)), u32(values.get(_IFLA_LINK)))
    return tuple(_named(link, master, under, found) for link, master, under in found.values())


def _kind(values: dict[int, bytes]) -> bytes:
    return attributes(values.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")


def _named(link: Link, master: int, under: int, all_links: dict[int, tuple[Link, int, int]]) -> Link:
    """Return the link with the names of its master and of the link under it.

    The other end of a veth is told by its index in another namespace: it says nothing here.
    """

    def name(index: int) -> str:
        return all_links[index][0].name if index in all_links else ""

    return Link(
        name=link.name,
        index=link.index,
        kind=link.kind,
        mtu=link.mtu,
        is_up=link.is_up,
        state=link.state,
        master=name(master),
        under="" if link.kind == "veth" or under == link.index else name(under),
    )


def parse_addresses(data: bytes, names: dict[int, str]) -> tuple[Address, ...]:
    """Return the addresses of a dump, with the names of interfaces by index; raise Malformed."""
    found = []
    for kind, body in messages(data):
        if kind != _NEWADDR:
            continue
        if len(body) < _ADDRESS.size:
            raise Malformed("an address is cut short")
        _, length, _, scope, index = _ADDRESS.unpack_from(body)
        values = attributes(body, _ADDRESS.size)
        packed = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS, b""))  # a point-to-point link has both
        address = parse_address(packed)
        if address is None:
            continue
        found.append(
            Address(
                address=str(address),
                network=f"{address}/{min(length, address.max_prefixlen)}",
                link=names.get(index, f"#{index}"),
                scope=_SCOPES.get(scope, "global"),
            )
        )
    return tuple(sorted(found, key=lambda one: ":" in one.address))


def parse_address(packed: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in 4 or 16 bytes, None for anything else."""
    if len(packed) == 4:
        return ipaddress.IPv4Address(packed)
    return ipaddress.IPv6Address(packed) if len(packed) == 16 else None
