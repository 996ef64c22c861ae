"""The framing of netlink: requests to the kernel, the messages and attributes it answers with. Standard library only.

Nothing is asked here: `kubedoctor.host.agent` sends requests into a network namespace and brings the answer back. Who
owns that namespace decides what is in it, so every length is checked, and what does not fit is Malformed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from kubedoctor.facts import Malformed

ROUTE, NETFILTER = 0, 12
"""Netlink protocols: addresses, links and routes; all of netfilter."""

_REQUEST, _DUMP = 0x1, 0x300  # linux/netlink.h: NLM_F_*
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_FIRST_OF_ALL = 16  # types below are netlink's own: no-operation, error, done, overrun
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_KIND = 0x3FFF  # the two upper bits say "nested" and "big-endian", which the reader knows anyway


def dump_request(kind: int, body: bytes) -> bytes:
    """Return the message that asks for all objects of a kind."""
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 1, 0) + body


def attribute(kind: int, payload: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each message but netlink's own; raise Malformed for bytes that are no messages."""
    position, end = 0, len(data)
    while position < end:
        if end - position < _HEADER.size:
            raise Malformed("a netlink message is cut short")
        length, kind, _, _, _ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or length > end - position:
            raise Malformed(f"a netlink message says it has {length} bytes, {end - position} are left")
        if kind >= _FIRST_OF_ALL:
            yield kind, data[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def attribute_list(data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
    """Return type and payload of each attribute from *offset* on; raise Malformed when a length does not fit."""
    found = []
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while end - offset >= 4:
        length, kind = unpack(data, offset)
        if length < 4 or length > end - offset:
            raise Malformed(f"a netlink attribute says it has {length} bytes, {end - offset} are left")
        found.append((kind & _KIND, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from *offset* on by type; the last one counts, as it does for the kernel."""
    return dict(attribute_list(data, offset))


def text(payload: bytes) -> str:
    """Return a name up to its NUL byte; what cannot be shown in a line becomes `?`."""
    name = payload.partition(b"\0")[0].decode(errors="replace")
    return name if name.isprintable() else "".join(one if one.isprintable() else "?" for one in name)


def u32(payload: bytes | None, default: int = 0) -> int:
    """Return a number in this machine's byte order, as rtnetlink has it; *default* when there is none."""
    return int(struct.unpack_from("=I", payload)[0]) if payload and len(payload) >= 4 else default


def be32(payload: bytes | None, default: int = 0) -> int:
    """Return a number in network byte order, as netfilter has it; *default* when there is none."""
    return int(struct.unpack_from("!I", payload)[0]) if payload and len(payload) >= 4 else default
