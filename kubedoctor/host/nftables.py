"""What nf_tables holds, as nfnetlink hands it out: tables, chains, the rules of a chain, the elements of a set.

iptables-nft keeps its rules there too. Only what is asked for is dumped, since a machine may have tens of thousands of
rules. Standard library only.
"""

from __future__ import annotations

import errno
import functools
import os
import struct
from collections.abc import Callable, Iterator

from kubedoctor.facts import Absent, FactError, Malformed
from kubedoctor.host.agent import netlink_dump
from kubedoctor.host.files import read_file, read_text
from kubedoctor.host.netlink import (
    NETFILTER,
    attribute,
    attribute_list,
    attributes,
    be32,
    dump_request,
    messages,
    text,
)
from kubedoctor.records import dataclass

FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}
"""The families of tables that see IP packets, by number: NFPROTO_*; arp, bridge and netdev do not."""
VERDICTS = {0: "drop", 1: "accept", -1: "continue", -3: "jump", -4: "goto", -5: "return"}
"""What a rule, or an element of a map, says of a packet; linux/netfilter/nf_tables.h."""

_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET, _GET_ELEMENTS = 1, 4, 7, 10, 13
_GENERIC = struct.Struct("!BBH")  # family, version, resource: struct nfgenmsg
_ELEMENT = 1  # NFTA_LIST_ELEM
_INTERVAL, _MAP = 0x4, 0x8  # NFT_SET_*


@dataclass(frozen=True, slots=True, kw_only=True)
class NftChain:
    """A chain. A base chain has a `hook`, and is entered by packets there in the order of `priority`.

    `uses` counts its rules, and for one that is no base chain also whatever jumps to it.
    """

    family: str  # ip, ip6, inet
    table: str
    name: str
    uses: int = 0
    hook: str = ""
    priority: int = 0
    type: str = ""  # filter, nat, route
    policy: str = ""


@dataclass(frozen=True, slots=True)
class NftSet:
    """A set or map: elements are single keys, or with `intervals` the bounds of ranges."""

    width: int  # bytes of a key
    intervals: bool
    is_map: bool


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set: its key (and the end of its range), for a map of verdicts what it says."""

    key: bytes
    end: bytes = b""
    ends_range: bool = False
    catches_all: bool = False
    verdict: str = ""
    chain: str = ""
    value: bytes = b""
    comment: str = ""


def tables(*, net: int = 0) -> tuple[tuple[str, str], ...]:
    """Return family and name of every table that sees IP packets, none where the kernel has no nf_tables.

    Raise Denied (`needs CAP_NET_ADMIN`), Silent, Malformed.
    """
    if _is_unloaded():
        return ()
    try:
        data = _dump(_GET_TABLE, 0, b"", net)
    except Absent:
        return ()
    except Malformed as problem:
        if problem.reason.endswith(os.strerror(errno.EINVAL)):  # nfnetlink's word for a part that the kernel lacks
            return ()
        raise
    return tuple((family, text(values.get(1, b""))) for _, family, values in _objects(data))


def chains(*, net: int = 0) -> tuple[NftChain, ...]:
    """Return every chain of every table that sees IP packets; raise as `tables` does."""
    return parse_chains(_dump(_GET_CHAIN, 0, b"", net))


def rules(family: str, table: str, chain: str, *, net: int = 0) -> bytes:
    """Return the rules of one chain, as `parse_rules` reads them; raise Absent and as `tables` does."""
    return _dump(_GET_RULE, _number(family), attribute(1, _name(table)) + attribute(2, _name(chain)), net)


def sets(family: str, table: str, *, net: int = 0) -> dict[str, NftSet]:
    """Return the sets and maps of a table by name; raise as `rules` does."""
    return parse_sets(_dump(_GET_SET, _number(family), attribute(1, _name(table)), net))


def elements(family: str, table: str, name: str, *, net: int = 0) -> bytes:
    """Return the elements of a set, as `parse_elements` reads them; raise as `rules` does."""
    return _dump(_GET_ELEMENTS, _number(family), attribute(1, _name(table)) + attribute(2, _name(name)), net)


def _dump(kind: int, family: int, body: bytes, net: int) -> bytes:
    return netlink_dump(NETFILTER, dump_request(_SUBSYSTEM | kind, _GENERIC.pack(family, 0, 0) + body), net=net)


def _name(name: str) -> bytes:
    return name.encode(errors="replace") + b"\0"


def _number(family: str) -> int:
    return next(number for number, name in FAMILIES.items() if name == family)


@functools.cache
def _is_unloaded() -> bool:
    """Return whether nf_tables is a module that is not loaded: then there are no tables, and asking would load it."""
    try:
        if any(line.startswith("nf_tables ") for line in read_text("/proc/modules").splitlines()):
            return False
        return b"/nf_tables.ko" in read_file(f"/lib/modules/{os.uname().release}/modules.dep", limit=16 << 20)
    except FactError:  # no modules at all, or not ours to see
        return False


# --- reading ----------------------------------------------------------------------------------------------------------


def _objects(data: bytes) -> Iterator[tuple[int, str, dict[int, bytes]]]:
    """Yield message type, family and attributes of each object of a family that sees IP packets."""
    for kind, body in messages(data):
        family = FAMILIES.get(body[0]) if len(body) >= _GENERIC.size else None
        if family is not None and kind >> 8 == _SUBSYSTEM >> 8:
            yield kind, family, attributes(body, _GENERIC.size)


_HOOKS = ("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress")


def parse_chains(data: bytes) -> tuple[NftChain, ...]:
    """Return the chains of a dump; raise Malformed."""
    return tuple(_chain(family, values) for _, family, values in _objects(data))


def _chain(family: str, values: dict[int, bytes]) -> NftChain:
    hook = attributes(values.get(4, b""))  # NFTA_CHAIN_HOOK
    number = be32(hook.get(1), 99)
    priority = be32(hook.get(2))
    return NftChain(
        family=family,
        table=text(values.get(1, b"")),
        name=text(values.get(3, b"")),
        uses=be32(values.get(6)),
        hook=_HOOKS[number] if number < len(_HOOKS) else "",
        priority=priority - (1 << 32) if priority >> 31 else priority,
        type=text(values.get(7, b"")),
        policy=("drop", "accept")[be32(values[5]) & 1] if hook and 5 in values else "",
    )


def parse_rules(data: bytes, table: str, chain: str, *, to: bytes = b"") -> Iterator[tuple[list[bytes], bytes]]:
    """Yield expressions, unread, and user data of each rule of the chain; raise Malformed.

    Kernels before 3.14 take no notice of what was asked for and tell all rules: others are passed over. So are, with
    the packed address *to*, most rules for another destination: KUBE-SERVICES has one for each service.
    """
    wanted_table, wanted_chain = _name(table), _name(chain)
    is_for_another = _destination_test(to)
    for _, body in messages(data):
        if is_for_another(body):
            continue
        values = attributes(body, _GENERIC.size)
        if values.get(1) != wanted_table or values.get(2) != wanted_chain:
            continue
        yield [payload for kind, payload in attribute_list(values.get(4, b"")) if kind == _ELEMENT], values.get(7, b"")


def _destination_test(to: bytes) -> Callable[[bytes], bool]:
    """Return what tells by its bytes that a rule compares the destination with another address than *to*.

    It looks for the very bytes of `payload load 4b @ network header + 16` and of the `cmp eq` that follows: a thirtieth
    of the cost of reading the rule.
    """
    if not to:
        return lambda _: False
    width = len(to)
    load = b"".join(
        attribute(kind, struct.pack("!I", number))
        for kind, number in ((2, 1), (3, 16 if width == 4 else 24), (4, width))
    )
    name, equal = attribute(1, b"cmp\0"), attribute(2, bytes(4))
    value = attribute(1, to)[:4]

    def is_for_another(body: bytes) -> bool:
        position = body.find(load)
        if position < 0:
            return False
        position += len(load) + 4  # the header of the next expression
        if not body.startswith(name, position) or not body.startswith(equal, position + 20):
            return False
        return body.startswith(value, position + 32) and not body.startswith(to, position + 36)

    return is_for_another


def user_comment(user_data: bytes) -> str:
    """Return the comment that nft keeps with a rule: type, length, value; the type of a comment is 0."""
    position = 0
    while position + 2 <= len(user_data):
        kind, length = user_data[position], user_data[position + 1]
        if kind == 0:
            return text(user_data[position + 2 : position + 2 + length])
        position += 2 + length
    return ""


def parse_sets(data: bytes) -> dict[str, NftSet]:
    """Return the sets of a dump by name; raise Malformed."""
    found = {}
    for _, _, values in _objects(data):
        flags = be32(values.get(3))
        found[text(values.get(2, b""))] = NftSet(be32(values.get(5)), bool(flags & _INTERVAL), bool(flags & _MAP))
    return found


def parse_elements(data: bytes, key: bytes | None = None) -> Iterator[Element]:
    """Yield the elements of a set; with *key*, only those with that very key. Raise Malformed."""
    needle = None if key is None else struct.pack("=HH", 4 + len(key), 1) + key  # as NFTA_DATA_VALUE has it
    for _, body in messages(data):
        if needle is not None and needle not in body:  # a map may have ten thousands, some dozens in each message
            continue
        for kind, payload in attribute_list(attributes(body, _GENERIC.size).get(3, b"")):
            if kind == _ELEMENT and (needle is None or needle in payload):
                element = _element(attributes(payload))
                if key is None or element.key == key:
                    yield element


def _element(values: dict[int, bytes]) -> Element:
    data = attributes(values.get(2, b""))
    verdict, chain = parse_verdict(data.get(2, b"")) if 2 in data else ("", "")
    flags = be32(values.get(3))
    return Element(
        key=attributes(values.get(1, b"")).get(1, b""),
        end=attributes(values.get(10, b"")).get(1, b""),
        ends_range=bool(flags & 1),  # NFT_SET_ELEM_INTERVAL_END
        catches_all=bool(flags & 2),  # NFT_SET_ELEM_CATCHALL
        verdict=verdict,
        chain=chain,
        value=data.get(1, b""),
        comment=user_comment(values.get(6, b"")),
    )


def parse_verdict(data: bytes) -> tuple[str, str]:
    """Return a verdict and the chain it names; "" for one that says nothing about the packet."""
    values = attributes(data)
    code = be32(values.get(1))
    return VERDICTS.get(code - (1 << 32) if code >> 31 else code, ""), text(values.get(2, b""))


def called(expressions: list[bytes]) -> list[str]:
    """Return the chains that a rule names itself; what maps name is not looked up."""
    found = []
    for payload in expressions:
        expression = attributes(payload)
        if expression.get(1) == b"immediate\0":
            values = attributes(expression.get(2, b""))
            _, chain = parse_verdict(attributes(values.get(2, b"")).get(2, b""))
            found += [chain] if chain else []
    return found
