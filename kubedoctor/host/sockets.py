"""Which ports are listened on in a network namespace, and by whom. Standard library only."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import field

from kubedoctor.facts import Absent, Look, Malformed, fact
from kubedoctor.host.files import read_file
from kubedoctor.host.owner import Owner, excludes, hex_address, named, user_name, why_unknown
from kubedoctor.host.process import Process, open_files, pids, processes
from kubedoctor.records import dataclass

TABLE_LIMIT = 256 << 20
"""Bytes of one table: a line is 150, so this is more than a million sockets."""

_LISTEN, _UNCONNECTED = b"0A", b"07"  # TCP_LISTEN; TCP_CLOSE, which is what an unconnected UDP socket shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket that takes connections (tcp) or datagrams from anybody (udp).

    `owner` says whose it is, for `describe`; its `pid` is 0 when that cannot be told, and `reason` says why.
    """

    protocol: str  # tcp or udp
    address: str  # `0.0.0.0` and `::` are wildcards; an IPv4 address in an IPv6 socket is shown as IPv4
    port: int
    inode: int
    uid: int
    owner: Owner = field(default_factory=lambda: Owner(port=0, address=""))


@fact("host.listeners")
def listeners(look: Look, net: int) -> tuple[Listener, ...]:
    """The listening sockets in the network namespace of process *net* (0: ours), by protocol, port and address."""
    tables = [entry for table in _TABLES for entry in _read_table(table, net)]
    holders = look.get(socket_holders)
    known = {process.pid: process for process in look.get(processes)}
    found = [_listener(entry, holders, known) for entry in tables]
    return tuple(sorted(found, key=lambda one: (one.protocol, one.port, one.address, one.inode)))


@fact("host.socket-holders", recorded=False)
def socket_holders(look: Look) -> Mapping[int, int]:
    """The process that has each socket, by the socket's inode number: the first, of those we may look into."""
    del look
    found: dict[int, int] = {}
    for pid in pids():
        try:
            for _, target in open_files(pid):
                if target.startswith("socket:["):
                    found.setdefault(int(target[8:-1]), pid)
        except OSError:  # gone, or another user's
            continue
    return found


def find_listener(found: Iterable[Listener], address: str, port: int, protocol: str = "tcp") -> Listener | None:
    """Return who keeps *address*:*port* from being bound, the nearest match first; None when no listener does.

    A wildcard address and a specific one exclude each other, and `::` excludes IPv4 unless its socket is IPv6 only,
    which /proc does not tell. Raise Malformed when *address* is no IP address.
    """
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        raise Malformed(f"`{address}` is not an IP address") from None
    matches = [
        one
        for one in found
        if one.port == port and one.protocol == protocol and excludes(ipaddress.ip_address(one.address), wanted)
    ]
    return min(matches, key=lambda one: (one.address != str(wanted), one.owner.pid == 0), default=None)


# --- the tables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a table that is a listener."""

    protocol: str
    address: str
    port: int
    uid: int
    inode: int


_TABLES = ("tcp", "tcp6", "udp", "udp6")


def _read_table(table: str, net: int) -> list[Entry]:
    try:
        data = read_file(f"/proc/{net or 'self'}/net/{table}", limit=TABLE_LIMIT)
    except Absent:
        if net and not os.path.isdir(f"/proc/{net}"):  # noqa: PTH112 - asked once
            raise
        return []  # IPv6 is disabled
    return parse_table(data, table.removesuffix("6"))


def parse_table(data: bytes, protocol: str) -> list[Entry]:
    """Return the listeners of /proc/net/tcp, tcp6, udp or udp6; raise Malformed for a line that is none of theirs."""
    state = _LISTEN if protocol == "tcp" else _UNCONNECTED
    mark = b" %b " % state
    found = []
    for line in data.split(b"\n")[1:]:
        if mark not in line:  # most lines, on a machine with many connections: no need to take them apart
            continue
        fields = line.split()
        try:
            if fields[3] == state:
                address, _, port = fields[1].partition(b":")
                found.append(
                    Entry(protocol, hex_address(address.decode()), int(port, 16), int(fields[7]), int(fields[9]))
                )
        except (IndexError, ValueError):
            raise Malformed(f"/proc/net/{protocol} has a line that is no socket") from None
    return found


def _listener(entry: Entry, holders: Mapping[int, int], known: Mapping[int, Process]) -> Listener:
    process = known.get(holders.get(entry.inode, 0))
    if process is None:
        owner = Owner(
            port=entry.port,
            address=entry.address,
            uid=entry.uid,
            user=user_name(entry.uid),
            reason=why_unknown(entry.uid),
        )
    else:
        name, argv = named(process.name, list(process.argv))
        owner = Owner(
            port=entry.port,
            address=entry.address,
            pid=process.pid,
            name=name,
            argv=argv,
            uid=process.uid,
            user=user_name(process.uid),
            started=process.started,
            directory=process.directory,
        )
    return Listener(
        protocol=entry.protocol,
        address=entry.address,
        port=entry.port,
        inode=entry.inode,
        uid=entry.uid,
        owner=owner,
    )
