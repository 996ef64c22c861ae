"""Runs a rule of nf_tables on a connection, of which only some things are known.

A rule is a program: expressions load what they look at into registers, compare it, look it up in sets, and say what
becomes of the packet. What is not known is loaded as unknown, what is drawn by lot as that. Standard library only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Final, Protocol

from kubedoctor.host.interfaces import parse_address
from kubedoctor.host.netlink import attributes, be32, text
from kubedoctor.host.nftables import Element, parse_verdict, user_comment
from kubedoctor.host.rules import Connection, Effect, Holds, Outcome, Verdict
from kubedoctor.host.xt import NEW, comment_of, match_holds, target_effect
from kubedoctor.records import dataclass

_LOT: Final = b"by lot"
"""Stands in a register for what is drawn by lot."""
_SLOTS = 16  # of four bytes: NFT_REG32_00 to NFT_REG32_15
_MOST_CHOICES = 10_000
"""Elements of a map that are followed: an endpoint each."""


class Lookup(Protocol):
    """A set or map of the rule's table."""

    @property
    def width(self) -> int:
        """Bytes of a key."""

    def find(self, key: bytes) -> Element | None:
        """Return the element that *key* is in."""

    def all(self) -> Sequence[Element]:
        """Return every element."""


@dataclass(slots=True)
class _Run:
    connection: Connection
    lookup: Callable[[str], Lookup]
    slots: list[bytes | None] = field(default_factory=lambda: [None] * _SLOTS)
    holds: Holds = Holds.YES
    comment: str = ""

    def store(self, register: int, value: bytes | None, width: int = 4) -> None:
        first = _slot(register)
        count = (width + 3) // 4
        if value is not None and value is not _LOT:
            value = value.ljust(count * 4, b"\0")
        for index in range(min(count, _SLOTS - first)):
            part = value if value is None or value is _LOT else value[4 * index : 4 * index + 4]
            self.slots[first + index] = part

    def load(self, register: int, width: int) -> bytes | None:
        first = _slot(register)
        parts = self.slots[first : first + (width + 3) // 4]
        if any(part is _LOT for part in parts):
            return _LOT
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len(parts) * 4 < width:
            return None
        return b"".join(known)[:width]

    def require(self, holds: Holds) -> None:
        self.holds = min(self.holds, holds)


def run_rule(
    expressions: Sequence[bytes], user_data: bytes, connection: Connection, lookup: Callable[[str], Lookup]
) -> Outcome | None:
    """Return what a rule does with the connection, None when it does not hold or does nothing; raise Malformed."""
    run = _Run(connection, lookup)
    outcome = _run_from(expressions, 0, run)
    if outcome is None or not user_data:
        return outcome
    comment = user_comment(user_data)
    return Outcome(tuple(_commented(effect, comment) for effect in outcome.effects), outcome.exhaustive)


def _commented(effect: Effect, comment: str) -> Effect:
    return Effect(effect.verdict, effect.holds, effect.chain, effect.address, effect.port, effect.comment or comment)


def _run_from(expressions: Sequence[bytes], position: int, run: _Run) -> Outcome | None:
    for index in range(position, len(expressions)):
        expression = attributes(expressions[index])
        name, values = text(expression.get(1, b"")), attributes(expression.get(2, b""))
        if name == "lookup":
            if not (found := _look_up(values, expressions, index, run)):
                return None
            if isinstance(found, Outcome):
                return found
            continue
        effect = _end(name, values, run)
        if effect is not None:
            return _outcome(effect, run)
        if name in _STEPS:
            _STEPS[name](values, run)
        elif name not in _NO_EFFECT and name not in _ENDS:
            run.slots = [None] * _SLOTS  # it may have loaded anything anywhere
        if run.holds is Holds.NO:
            return None
    return None


def _end(name: str, values: dict[int, bytes], run: _Run) -> Effect | None:
    """Return what an expression does with the packet, None for one after which the rule goes on."""
    if name == "immediate" and be32(values.get(1)) == 0:  # into the register of verdicts
        verdict, chain = parse_verdict(attributes(values.get(2, b"")).get(2, b""))
        return Effect(Verdict(verdict or "accept"), chain=chain)
    effect = _ENDS[name](values, run) if name in _ENDS else None
    return None if effect is not None and effect.verdict is Verdict.CONTINUE else effect


def _outcome(effect: Effect, run: _Run) -> Outcome:
    holds = min(run.holds, effect.holds)
    return Outcome((Effect(effect.verdict, holds, effect.chain, effect.address, effect.port, run.comment),))


def _slot(register: int) -> int:
    """Return the first four bytes of a register: 1 to 4 are of 16 bytes, those from 8 on of 4, in the same place."""
    return min(max(register - 8 if register >= 8 else (register - 1) * 4, 0), _SLOTS)


# --- loading and comparing --------------------------------------------------------------------------------------------


def _payload(values: dict[int, bytes], run: _Run) -> None:
    if 1 not in values:  # it writes into the packet
        return
    base, offset, width = be32(values.get(2)), be32(values.get(3)), be32(values.get(4))
    known: dict[int, bytes] = {}
    if base == 1:
        known = run.connection.header
    elif base == 2:
        known = {2: run.connection.port.to_bytes(2, "big")}
    value = next(
        (
            part[offset - at :][:width]
            for at, part in known.items()
            if at <= offset and offset + width <= at + len(part)
        ),
        None,
    )
    run.store(be32(values[1]), value, min(width, 64))


def _meta(values: dict[int, bytes], run: _Run) -> None:
    if 1 not in values:  # it sets a mark
        return
    is_v4 = run.connection.destination.version == 4
    key = be32(values.get(2))
    known = {
        1: b"\x08\x00" if is_v4 else b"\x86\xdd",  # NFT_META_PROTOCOL
        15: bytes([2 if is_v4 else 10]),  # NFT_META_NFPROTO
        16: bytes([run.connection.protocol]),  # NFT_META_L4PROTO
    }
    run.store(be32(values[1]), known.get(key), 16 if key in (6, 7) else 4)  # names of interfaces are longer


def _conntrack(values: dict[int, bytes], run: _Run) -> None:
    if 1 in values:
        is_state = be32(values.get(2)) == 0  # NFT_CT_STATE
        run.store(be32(values[1]), _native(NEW) if is_state else None, 4 if is_state else 16)


def _fib(values: dict[int, bytes], run: _Run) -> None:
    is_type_of_destination = be32(values.get(2)) == 3 and be32(values.get(3)) & 3 == 2
    kind = 2 if run.connection.local else 1  # RTN_LOCAL, RTN_UNICAST
    run.store(be32(values.get(1), 8), _native(kind) if is_type_of_destination else None, 16)


def _native(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)


def _numgen(values: dict[int, bytes], run: _Run) -> None:
    run.store(be32(values.get(1), 8), _LOT)


def _hash(values: dict[int, bytes], run: _Run) -> None:
    run.store(be32(values.get(2), 8), _LOT)


def _immediate(values: dict[int, bytes], run: _Run) -> None:
    value = attributes(values.get(2, b"")).get(1, b"")[:64]
    run.store(be32(values.get(1), 8), value, len(value))


def _bitwise(values: dict[int, bytes], run: _Run) -> None:
    width = min(be32(values.get(3)), 64)
    value = run.load(be32(values.get(1), 8), width)
    if value is not None and value is not _LOT:
        mask, flip = (attributes(values.get(kind, b"")).get(1, b"") for kind in (4, 5))
        if be32(values.get(6)) or not len(value) == len(mask) == len(flip):  # a shift
            value = None
        else:
            value = bytes(one & keep ^ turn for one, keep, turn in zip(value, mask, flip, strict=True))
    run.store(be32(values.get(2), 8), value, width)


_COMPARISONS: tuple[Callable[[bytes, bytes], bool], ...] = (
    bytes.__eq__, bytes.__ne__, bytes.__lt__, bytes.__le__, bytes.__gt__, bytes.__ge__,
)  # fmt: skip


def _cmp(values: dict[int, bytes], run: _Run) -> None:
    wanted = attributes(values.get(3, b"")).get(1, b"")
    value = run.load(be32(values.get(1), 8), len(wanted))
    operator = be32(values.get(2))
    if value is None or operator >= len(_COMPARISONS):
        run.require(Holds.MAYBE)
    elif value is _LOT:
        run.require(Holds.SHARE)
    elif not _COMPARISONS[operator](value, wanted):
        run.require(Holds.NO)


def _range(values: dict[int, bytes], run: _Run) -> None:
    low, high = (attributes(values.get(kind, b"")).get(1, b"") for kind in (3, 4))
    value = run.load(be32(values.get(1), 8), len(low))
    if value is None:
        run.require(Holds.MAYBE)
    elif value is _LOT:
        run.require(Holds.SHARE)
    elif (low <= value <= high) == bool(be32(values.get(2))):  # NFT_RANGE_NEQ
        run.require(Holds.NO)


def _maybe(_values: dict[int, bytes], run: _Run) -> None:
    run.require(Holds.MAYBE)


def _match(values: dict[int, bytes], run: _Run) -> None:
    name, data = text(values.get(1, b"")), values.get(3, b"")
    run.comment = run.comment or comment_of(name, data)
    run.require(match_holds(name, be32(values.get(2)), data, run.connection))


_STEPS: dict[str, Callable[[dict[int, bytes], _Run], None]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _conntrack,
    "fib": _fib,
    "numgen": _numgen,
    "hash": _hash,
    "immediate": _immediate,
    "bitwise": _bitwise,
    "cmp": _cmp,
    "range": _range,
    "limit": _maybe,
    "quota": _maybe,
    "connlimit": _maybe,
    "match": _match,
}
_NO_EFFECT = frozenset({"counter", "log", "last", "objref", "dynset", "notrack", "dup"})


# --- sets and maps ----------------------------------------------------------------------------------------------------


def _look_up(values: dict[int, bytes], expressions: Sequence[bytes], index: int, run: _Run) -> Outcome | bool | None:
    """Return what a map of verdicts comes to; for another set whether the rule goes on; None when it does not hold."""
    lookup = run.lookup(text(values.get(1, b"")))
    key = run.load(be32(values.get(2), 8), lookup.width)
    holds = Holds.MAYBE if key is None else Holds.SHARE if key is _LOT else Holds.YES
    if 3 not in values:  # is it in the set
        if holds is Holds.YES:
            inside = key is not None and lookup.find(key) is not None
            return inside != bool(be32(values.get(5)) & 1)  # NFT_LOOKUP_F_INV
        run.require(holds)
        return True
    if holds is Holds.YES:
        element = lookup.find(key) if key is not None else None
        chosen = [element] if element else []
    else:
        chosen = list(lookup.all())[:_MOST_CHOICES]
    run.require(holds)
    if be32(values[3]) == 0:  # what the element says becomes of the packet
        effects = tuple(
            Effect(Verdict(one.verdict or "accept"), run.holds, one.chain, comment=one.comment or run.comment)
            for one in chosen
        )
        return Outcome(effects, exhaustive=holds is Holds.SHARE) if effects else None
    return _for_each(chosen, be32(values[3]), expressions, index, run)


def _for_each(
    chosen: Sequence[Element], register: int, expressions: Sequence[bytes], index: int, run: _Run
) -> Outcome | None:
    """Return what the rest of the rule does for each value that a map may give."""
    effects: list[Effect] = []
    for one in chosen:
        branch = _Run(run.connection, run.lookup, list(run.slots), run.holds, run.comment)
        branch.store(register, one.value[:64], len(one.value[:64]))
        outcome = _run_from(expressions, index + 1, branch)
        effects += outcome.effects if outcome else ()
    return Outcome(tuple(effects), exhaustive=run.holds is Holds.SHARE) if effects else None


# --- what becomes of the packet ---------------------------------------------------------------------------------------


def _nat(values: dict[int, bytes], run: _Run) -> Effect:
    if be32(values.get(1)) != 1:  # NFT_NAT_DNAT
        return Effect(Verdict.ACCEPT)
    width = 4 if be32(values.get(2)) == 2 else 16
    address, port = "", 0
    if 3 in values:
        packed = run.load(be32(values[3]), width)
        found = parse_address(packed) if packed is not None and packed is not _LOT else None
        address = str(found) if found else UNKNOWN
    if 5 in values:
        packed = run.load(be32(values[5]), 2)
        port = int.from_bytes(packed, "big") if packed is not None and packed is not _LOT else 0
    return Effect(Verdict.DNAT, address=address, port=port)


UNKNOWN = "?"
"""An address that a rule takes from where we cannot see."""


def _redirect(values: dict[int, bytes], run: _Run) -> Effect:
    packed = run.load(be32(values[1]), 2) if 1 in values else None
    return Effect(
        Verdict.REDIRECT, port=int.from_bytes(packed, "big") if packed is not None and packed is not _LOT else 0
    )


def _target(values: dict[int, bytes], run: _Run) -> Effect:
    return target_effect(text(values.get(1, b"")), be32(values.get(2)), values.get(3, b""), run.connection)


def _accepted(_values: dict[int, bytes], _run: _Run) -> Effect:
    return Effect(Verdict.ACCEPT)


def _rejected(_values: dict[int, bytes], _run: _Run) -> Effect:
    return Effect(Verdict.REJECT)


_ENDS: dict[str, Callable[[dict[int, bytes], _Run], Effect]] = {
    "nat": _nat,
    "redir": _redirect,
    "target": _target,
    "reject": _rejected,
    "masq": _accepted,
    "queue": _accepted,
    "tproxy": _accepted,
    "synproxy": _accepted,
}
