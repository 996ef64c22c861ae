"""Reading protobuf messages without their definitions: the fields by number. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from kubedoctor.facts import Malformed
from kubedoctor.records import dataclass

FIELDS = 200_000
"""Fields of one message: a list of ten thousand containers has ten thousand."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; groups (3, 4) are in no API of Kubernetes
_LONGEST = 10  # bytes of a varint
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message; of a field that is there more than once the last counts, unless all are asked for."""

    _values: dict[int, list[int | bytes]] = field(default_factory=dict)

    def number(self, field_number: int) -> int:
        """Return an integer as signed 64 bits; 0 when it is missing or something else."""
        value = self._last(field_number)
        if not isinstance(value, int):
            return 0
        return value - (1 << 64) if value >> 63 else value

    def text(self, field_number: int) -> str:
        """Return a string, with `�` for what is no UTF-8; empty when it is missing or something else."""
        value = self._last(field_number)
        return value.decode(errors="replace") if isinstance(value, bytes) else ""

    def texts(self, field_number: int) -> tuple[str, ...]:
        """Return a repeated string."""
        values = self._values.get(field_number, ())
        return tuple(one.decode(errors="replace") for one in values if isinstance(one, bytes))

    def message(self, field_number: int) -> Message | None:
        """Return a message in this one; None when it is missing. Raise Malformed."""
        value = self._last(field_number)
        return parse_message(value) if isinstance(value, bytes) else None

    def messages(self, field_number: int) -> Iterator[Message]:
        """Yield each message of a repeated field; raise Malformed."""
        for value in self._values.get(field_number, ()):
            if isinstance(value, bytes):
                yield parse_message(value)

    def mapping(self, field_number: int) -> dict[str, str]:
        """Return a `map<string, string>`; raise Malformed."""
        return {one.text(1): one.text(2) for one in self.messages(field_number)}

    def _last(self, field_number: int) -> int | bytes | None:
        values = self._values.get(field_number)
        return values[-1] if values else None


def parse_message(data: bytes) -> Message:
    """Return the message in *data*; raise Malformed."""
    values: dict[int, list[int | bytes]] = {}
    position, count = 0, 0
    while position < len(data):
        count += 1
        if count > FIELDS:
            raise Malformed(f"a message has more than {FIELDS} fields")
        tag, position = _varint(data, position)
        kind, size = tag & 7, 0
        value: int | bytes
        if kind == _VARINT:
            value, position = _varint(data, position)
        else:
            if kind == _BYTES:
                size, position = _varint(data, position)
            elif kind in (_FIXED32, _FIXED64):
                size = 4 if kind == _FIXED32 else 8
            else:
                raise Malformed(f"a message has a field of the unknown type {kind}")
            if size > len(data) - position:
                raise Malformed("a message is cut short")
            value = data[position : position + size]
            position += size
            if kind != _BYTES:
                value = int.from_bytes(value, "little")
        values.setdefault(tag >> 3, []).append(value)
    return Message(values)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for offset in range(_LONGEST):
        if position + offset >= len(data):
            raise Malformed("a message is cut short")
        byte = data[position + offset]
        value |= (byte & 0x7F) << (7 * offset)
        if not byte & 0x80:
            return value & _WORD, position + offset + 1
    raise Malformed("a message has a number that is too long")
