"""The rules of iptables-legacy, as its kernel interface hands them out: one blob for each table.

Only tables that are there already are asked for: asking for another one makes the kernel create it, and with it put all
packets through it. Standard library only.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from kubedoctor.facts import Absent, Malformed, Silent
from kubedoctor.host.agent import DUMP_LIMIT, read_option
from kubedoctor.host.files import read_text
from kubedoctor.host.netlink import text
from kubedoctor.host.rules import Connection, Effect, Holds, Outcome, Verdict
from kubedoctor.host.xt import comment_of, match_holds, target_effect
from kubedoctor.records import dataclass

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
"""Where packets pass through rules, in the order of the kernel's numbers."""

_GET_INFO, _GET_ENTRIES = 64, 65  # linux/netfilter_ipv4/ip_tables.h, the same for IPv6
_INFO = struct.Struct("=32sI5I5III")  # name, hooks, where each begins, where its policy is, entries, bytes
_TRIES = 5
_MATCH = struct.Struct("=H29sB")  # size, name, revision: struct xt_entry_match, and xt_entry_target
_HEAD = 32  # of both, with the end of the union
_NAMES = {4: "ip_tables_names", 6: "ip6_tables_names"}
_ACCEPT, _DROP, _RETURN = -2, -1, -5
_LITTLE = struct.pack("=H", 1) == b"\x01\x00"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are in an entry: struct ipt_entry, struct ip6t_entry."""

    family: int
    level: int
    width: int  # bytes of an address
    protocol: int
    flags: int
    goto: int  # IPT_F_GOTO, IP6T_F_GOTO
    fragments: int  # IPT_F_FRAG
    offsets: int  # of the target, of the next entry
    size: int


_LAYOUTS = {
    4: _Layout(socket.AF_INET, socket.IPPROTO_IP, 4, 80, 82, 0x02, 0x01, 88, 112),
    6: _Layout(socket.AF_INET6, socket.IPPROTO_IPV6, 16, 128, 131, 0x04, 0, 140, 168),
}
_INVERT_IN_OUT, _INVERT_SOURCE, _INVERT_DESTINATION = 0x03, 0x08, 0x10
_INVERT_FRAGMENT, _INVERT_PROTOCOL = 0x20, 0x40


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as it lies in the blob: its offset there, its bytes, where its target begins."""

    offset: int
    data: bytes
    target: int


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """A table: its entries by chain, the chain at each hook with its policy (`accept`, `drop`), chains by offset."""

    version: int  # of IP
    name: str
    chains: dict[str, list[Entry]]
    hooks: dict[str, str]  # chain: policy
    starts: dict[int, str]


def table_names(version: int, *, net: int = 0) -> tuple[str, ...]:
    """Return the tables that are there for IP *version*; none when the kernel has no iptables-legacy.

    Raise Denied, and Silent when the process *net* has ended.
    """
    try:
        return tuple(read_text(f"/proc/{net or 'self'}/net/{_NAMES[version]}").split())
    except Absent:
        if net and not os.path.isdir(f"/proc/{net}"):  # noqa: PTH112 - asked once
            raise Silent(f"process {net}, in whose network namespace they are, has ended") from None
        return ()


def read_table(version: int, name: str, *, net: int = 0) -> LegacyTable:
    """Return a table that `table_names` lists; raise Absent, Denied, Silent when it keeps changing, Malformed."""
    layout = _LAYOUTS[version]
    for _ in range(_TRIES):
        request = name.encode().ljust(32, b"\0")[:32].ljust(_INFO.size, b"\0")
        info = read_option(layout.family, layout.level, _GET_INFO, request, net=net)
        if len(info) < _INFO.size:
            raise Malformed(f"the size of the table {name} is not told")
        size = _INFO.unpack(info[: _INFO.size])[-1]
        if size > DUMP_LIMIT:
            raise Malformed(f"the table {name} has more than {DUMP_LIMIT >> 20} MiB")
        head = request[:32] + struct.pack("=I4x", size)  # struct ipt_get_entries, aligned to 8
        try:
            entries = read_option(layout.family, layout.level, _GET_ENTRIES, head + bytes(size), net=net)
        except Silent:  # it has another size by now
            continue
        return parse_table(version, name, info, entries[len(head) :])
    raise Silent(f"the table {name} kept changing while it was read")


def parse_table(version: int, name: str, info: bytes, data: bytes) -> LegacyTable:
    """Return the table whose `ipt_getinfo` is *info* and whose entries are *data*; raise Malformed."""
    layout = _LAYOUTS[version]
    if len(info) < _INFO.size:
        raise Malformed(f"the hooks of the table {name} are not told")
    _, valid, *numbers, _, _ = _INFO.unpack(info[: _INFO.size])
    at_hook = {numbers[hook]: HOOKS[hook] for hook in range(5) if valid & 1 << hook}
    table = LegacyTable(version, name, {}, {}, {})
    chain: list[Entry] = []
    for entry in _entries(data, layout, name):
        target = _target_name(entry)
        if entry.offset in at_hook:
            hook = at_hook[entry.offset]
            chain = table.chains.setdefault(hook.upper(), [])
            table.starts[entry.offset] = hook.upper()
            table.hooks[hook.upper()] = "accept"
        elif target == "ERROR":
            chain = table.chains.setdefault(text(entry.data[entry.target + _HEAD :]), [])
            table.starts[entry.offset + len(entry.data)] = text(entry.data[entry.target + _HEAD :])
            continue
        chain.append(entry)
    for built_in in table.hooks:
        policy = table.chains[built_in].pop()  # it always ends in a rule for everything
        table.hooks[built_in] = "drop" if _standard(policy) == _DROP else "accept"
    for own in table.chains.keys() - table.hooks.keys():
        if table.chains[own]:  # it always ends in a RETURN; the last ERROR ends the table and has nothing
            table.chains[own].pop()
    table.chains.pop("ERROR", None)
    return table


def _entries(data: bytes, layout: _Layout, name: str) -> Iterator[Entry]:
    position, end = 0, len(data)
    while position < end:
        if end - position < layout.size:
            raise Malformed(f"the table {name} is cut short")
        target, following = struct.unpack_from("=HH", data, position + layout.offsets)
        if not layout.size <= target <= following - _HEAD or following > end - position:
            raise Malformed(f"a rule of the table {name} says it has {following} bytes")
        yield Entry(position, data[position : position + following], target)
        position += following


def _target_name(entry: Entry) -> str:
    return text(_MATCH.unpack_from(entry.data, entry.target)[1])


def _standard(entry: Entry) -> int:
    """Return the verdict of a standard target: below 0 what becomes of the packet, else where to go on."""
    if len(entry.data) < entry.target + _HEAD + 4:
        raise Malformed("a rule has no verdict")
    return int(struct.unpack_from("=i", entry.data, entry.target + _HEAD)[0])


# --- running them -----------------------------------------------------------------------------------------------------


def outcomes(table: LegacyTable, chain: str, connection: Connection) -> Iterator[Outcome]:
    """Yield what the rules of a chain do with a connection, those left out that do not hold; raise Malformed."""
    layout = _LAYOUTS[table.version]
    for entry in table.chains.get(chain, ()):
        holds = _address_holds(entry.data, layout, connection)
        comment = ""
        for name, revision, data in _matches(entry, layout) if holds else ():
            holds = min(holds, match_holds(name, revision, data, connection))
            comment = comment or comment_of(name, data)
        if holds:
            effect = _effect(table, entry, layout, connection)
            yield Outcome(
                (Effect(effect.verdict, holds, effect.chain, effect.address, effect.port, comment),),
            )


def _address_holds(data: bytes, layout: _Layout, connection: Connection) -> Holds:
    """Return whether addresses, interfaces and protocol of an entry hold."""
    width = layout.width
    source_mask, mask = data[2 * width : 3 * width], data[3 * width : 4 * width]
    protocol = int.from_bytes(data[layout.protocol : layout.protocol + 2], "little" if _LITTLE else "big")
    flags, inverted = data[layout.flags], data[layout.flags + 1]
    wanted = connection.destination.packed
    masked = bytes(one & other for one, other in zip(wanted, mask, strict=True))
    if (masked == data[width : 2 * width]) == bool(inverted & _INVERT_DESTINATION):
        return Holds.NO
    if protocol and (protocol == connection.protocol) == bool(inverted & _INVERT_PROTOCOL):
        return Holds.NO
    if flags & layout.fragments and not inverted & _INVERT_FRAGMENT:  # a connection begins with no fragment
        return Holds.NO
    interfaces = data[4 * width : 4 * width + 64]
    known = not any(source_mask) and not any(interfaces[32:]) and not inverted & (_INVERT_SOURCE | _INVERT_IN_OUT)
    return Holds.YES if known else Holds.MAYBE


def _matches(entry: Entry, layout: _Layout) -> Iterator[tuple[str, int, bytes]]:
    position = layout.size
    while position < entry.target:
        if entry.target - position < _HEAD:
            raise Malformed("a match of a rule is cut short")
        size, name, revision = _MATCH.unpack_from(entry.data, position)
        if size < _HEAD or size > entry.target - position:
            raise Malformed(f"a match of a rule says it has {size} bytes")
        yield text(name), revision, entry.data[position + _HEAD : position + size]
        position += size


def _effect(table: LegacyTable, entry: Entry, layout: _Layout, connection: Connection) -> Effect:
    _, name, revision = _MATCH.unpack_from(entry.data, entry.target)
    if text(name):
        return target_effect(text(name), revision, entry.data[entry.target + _HEAD :], connection)
    verdict = _standard(entry)
    if verdict >= 0:
        if verdict == entry.offset + len(entry.data):  # a rule without a target goes on to the next one
            return Effect(Verdict.CONTINUE)
        called = table.starts.get(verdict)
        if called is None:
            raise Malformed(f"a rule of the table {table.name} jumps to where no chain begins")
        return Effect(Verdict.GOTO if entry.data[layout.flags] & layout.goto else Verdict.JUMP, chain=called)
    return Effect({_ACCEPT: Verdict.ACCEPT, _DROP: Verdict.DROP, _RETURN: Verdict.RETURN}.get(verdict, Verdict.ACCEPT))


def called(table: LegacyTable, chain: str) -> tuple[str, ...]:
    """Return the chains that the rules of a chain lead to, each once; raise Malformed."""
    named = dict[str, None]()
    for entry in table.chains.get(chain, ()):
        if not _target_name(entry) and (start := table.starts.get(_standard(entry))):
            named[start] = None
    return tuple(named)
