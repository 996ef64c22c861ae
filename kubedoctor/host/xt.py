"""The matches and targets of iptables, as both of its back ends store them: structs of linux/netfilter/xt_*.h.

In machine byte order, addresses and ports of NAT in network byte order. Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from kubedoctor.facts import Malformed
from kubedoctor.host.interfaces import parse_address
from kubedoctor.host.netlink import text
from kubedoctor.host.rules import TCP, UDP, Connection, Effect, Holds, Verdict

NEW = 8
"""A new connection, in the masks of connection states."""

_LOCAL, _UNICAST = 1 << 2, 1 << 1  # address types: 1 << RTN_LOCAL, 1 << RTN_UNICAST
_STATE_ONLY = 1  # XT_CONNTRACK_STATE
_ALWAYS = frozenset({"comment", "nfacct"})
_BY_LOT = frozenset({"statistic"})
_SYN = 0x02  # the flags of the packet that opens a TCP connection


def match_holds(name: str, revision: int, data: bytes, connection: Connection) -> Holds:
    """Return whether the match holds for the connection; MAYBE for what it hangs on things that are not known."""
    if name in _ALWAYS:
        return Holds.YES
    if name in _BY_LOT:
        return Holds.SHARE
    reader = _READERS.get(name)
    try:
        return reader(revision, data, connection) if reader else Holds.MAYBE
    except struct.error:
        raise Malformed(f"a match {name} of {len(data)} bytes is too short") from None


def comment_of(name: str, data: bytes) -> str:
    """Return the comment of a match `comment`, "" for another one."""
    return text(data) if name == "comment" else ""


def target_effect(name: str, revision: int, data: bytes, connection: Connection) -> Effect:
    """Return what the target does; one that is not known is taken to let the connection go on."""
    try:
        if name == "DNAT":
            address, port = _nat_range(revision, data, connection.destination.version)
            return Effect(Verdict.DNAT, address=address, port=port)
        if name == "REDIRECT":
            _, port = _nat_range(0 if connection.destination.version == 4 else 1, data, connection.destination.version)
            return Effect(Verdict.REDIRECT, port=port)
    except struct.error:
        raise Malformed(f"a target {name} of {len(data)} bytes is too short") from None
    return Effect(_TARGETS.get(name, Verdict.CONTINUE))


_TARGETS = {
    "REJECT": Verdict.REJECT,
    "MASQUERADE": Verdict.ACCEPT,
    "SNAT": Verdict.ACCEPT,
    "NFQUEUE": Verdict.ACCEPT,
    "QUEUE": Verdict.ACCEPT,
    "TPROXY": Verdict.ACCEPT,
}


def _nat_range(revision: int, data: bytes, version: int) -> tuple[str, int]:
    """Return the first address and port of a NAT range, "" and 0 for what is left as it is."""
    if revision == 0 and version == 4:  # nf_nat_ipv4_multi_range_compat, its one range
        flags, packed, port = struct.unpack_from("=4xI4s4x2s", data)
    else:  # nf_nat_range, and nf_nat_range2, which begins alike
        flags, packed, port = struct.unpack_from("=I16s16x2s", data)
        packed = packed[:4] if version == 4 else packed
    address = parse_address(packed) if flags & 1 else None  # NF_NAT_RANGE_MAP_IPS
    return str(address) if address else "", int.from_bytes(port, "big") if flags & 2 else 0  # …_PROTO_SPECIFIED


def _holds(is_so: bool, inverted: bool) -> Holds:
    return Holds.YES if is_so != inverted else Holds.NO


def _tcp(_revision: int, data: bytes, connection: Connection) -> Holds:
    *ports, option, mask, flags, inverted = struct.unpack_from("=4H4B", data)
    held = _ports(TCP, ports, inverted, connection)
    if mask:
        held = min(held, _holds(_SYN & mask == flags, bool(inverted & 4)))
    return min(held, Holds.MAYBE) if option else held


def _udp(_revision: int, data: bytes, connection: Connection) -> Holds:
    *ports, inverted = struct.unpack_from("=4HB", data)
    return _ports(UDP, ports, inverted, connection)


def _ports(protocol: int, ports: list[int], inverted: int, connection: Connection) -> Holds:
    """Return what ranges of source and destination ports say; the source port is not known."""
    first_source, last_source, first, last = ports
    if connection.protocol != protocol:
        return Holds.NO
    held = _holds(first <= connection.port <= last, bool(inverted & 2))
    any_source = (first_source, last_source) == (0, 0xFFFF) and not inverted & 1
    return held if any_source else min(held, Holds.MAYBE)


def _multiport(revision: int, data: bytes, connection: Connection) -> Holds:
    if revision != 1:
        return Holds.MAYBE
    which, count, *rest = struct.unpack_from("=BB15H15BB", data)
    ports, begins_range, inverted = rest[:15], rest[15:30], bool(rest[30])
    inside, position = False, 0
    while position < min(count, 15):
        last = position + 1 if begins_range[position] and position < 14 else position
        inside = inside or ports[position] <= connection.port <= ports[last]
        position = last + 1
    if which == 1:  # XT_MULTIPORT_DESTINATION
        return _holds(inside, inverted)
    return Holds.MAYBE


def _addrtype(revision: int, data: bytes, connection: Connection) -> Holds:
    source, destination, flags = struct.unpack_from("=HHI", data)
    if revision != 1:
        return Holds.MAYBE
    own = _LOCAL if connection.local else _UNICAST
    held = _holds(bool(destination & own), bool(flags & 2)) if destination else Holds.YES
    return min(held, Holds.MAYBE) if source or flags & 0xC else held  # 0xC: as seen from one interface


def _conntrack(revision: int, data: bytes, _connection: Connection) -> Holds:
    if revision == 1:
        flags, inverted, states, _ = struct.unpack_from("=HHBB", data, 146)
    elif revision in (2, 3):
        flags, inverted, states, _ = struct.unpack_from("=HHHH", data, 146)
    else:
        return Holds.MAYBE
    if not flags & _STATE_ONLY:
        return Holds.MAYBE
    state = _holds(bool(states & NEW), bool(inverted & _STATE_ONLY))
    return state if flags == _STATE_ONLY else min(state, Holds.MAYBE)


def _state(_revision: int, data: bytes, _connection: Connection) -> Holds:
    return _holds(bool(struct.unpack_from("=I", data)[0] & NEW), inverted=False)


def _recent(_revision: int, data: bytes, _connection: Connection) -> Holds:
    (what,) = struct.unpack_from("=8xB", data)
    return Holds.YES if what & 2 else Holds.MAYBE  # XT_RECENT_SET: it notes the address, and holds


_READERS: dict[str, Callable[[int, bytes, Connection], Holds]] = {
    "tcp": _tcp,
    "udp": _udp,
    "multiport": _multiport,
    "addrtype": _addrtype,
    "conntrack": _conntrack,
    "state": _state,
    "recent": _recent,
}
