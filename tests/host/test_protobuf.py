from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protobuf import message, varint

from kubedoctor import Malformed
from kubedoctor.host import protobuf
from kubedoctor.host.protobuf import parse_message

NUMBERS = st.integers(min_value=0, max_value=(1 << 64) - 1)


@given(NUMBERS, st.text(), st.lists(st.text()))
def test_what_is_written_is_read(number: int, text: str, texts: list[str]) -> None:
    told = parse_message(message((1, number), (2, text), *((3, one) for one in texts), (4, message((1, text)))))
    assert told.number(1) == (number if number < 1 << 63 else number - (1 << 64))
    assert told.text(2) == text
    assert told.texts(3) == tuple(texts)
    inner = told.message(4)
    assert inner is not None
    assert inner.text(1) == text


def test_what_is_missing_or_of_another_type_is_empty() -> None:
    told = parse_message(message((1, 7), (2, "x")))
    assert (told.number(2), told.text(1), told.texts(9), told.message(9), list(told.messages(1))) == (
        0,
        "",
        (),
        None,
        [],
    )


def test_the_last_of_several_counts() -> None:
    assert parse_message(message((1, 1), (1, 2))).number(1) == 2


def test_a_map_is_read_as_one() -> None:
    entries = [message((1, "a"), (2, "b")), message((1, "c"))]
    assert parse_message(message(*((2, one) for one in entries))).mapping(2) == {"a": "b", "c": ""}


def test_numbers_of_fixed_width_are_read() -> None:
    data = varint(1 << 3 | 5) + (7).to_bytes(4, "little") + varint(2 << 3 | 1) + (9).to_bytes(8, "little")
    told = parse_message(data)
    assert (told.number(1), told.number(2)) == (7, 9)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        told = parse_message(data)
        for number in range(1, 5):
            told.mapping(number)


@given(st.binary(min_size=1, max_size=60))
def test_a_message_that_is_cut_short_is_malformed(content: bytes) -> None:
    whole = message((1, content))
    for end in range(1, len(whole)):
        with pytest.raises(Malformed):
            parse_message(whole[:end])


def test_a_number_without_end_is_malformed() -> None:
    with pytest.raises(Malformed, match="too long"):
        parse_message(b"\xff" * 11)


def test_groups_are_malformed() -> None:
    with pytest.raises(Malformed, match="unknown type 3"):
        parse_message(varint(1 << 3 | 3))


def test_the_number_of_fields_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "FIELDS", 10)
    assert parse_message(message(*[(1, 1)] * 10)).number(1) == 1
    with pytest.raises(Malformed, match="more than 10 fields"):
        parse_message(message(*[(1, 1)] * 11))
