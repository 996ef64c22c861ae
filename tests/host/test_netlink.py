from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.facts import Malformed
from kubedoctor.host.netlink import attribute, attribute_list, attributes, be32, dump_request, messages, text, u32


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + b"\0" * (-len(body) % 4)


def test_messages_come_in_their_order_and_netlinks_own_are_left_out() -> None:
    data = message(20, b"abc") + message(1, b"") + message(21, b"") + message(3, b"\0\0\0\0")
    assert list(messages(data)) == [(20, b"abc"), (21, b"")]


def test_a_request_asks_for_a_dump() -> None:
    assert dump_request(18, b"body") == struct.pack("=IHHII", 20, 18, 0x301, 1, 0) + b"body"


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=10))
def test_attributes_are_read_as_they_are_written(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in pairs)
    assert attribute_list(data) == pairs
    assert attributes(b"head" + data, 4) == dict(pairs)


def test_what_an_attribute_holds_does_not_change_its_type() -> None:
    assert attributes(struct.pack("=HH", 4, 0x8000 | 7) + struct.pack("=HH", 4, 0x4000 | 8)) == {7: b"", 8: b""}


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 3,
        b"\0" * 15,
        struct.pack("=IHHII", 0, 20, 0, 0, 0),
        struct.pack("=IHHII", 15, 20, 0, 0, 0),
        struct.pack("=IHHII", 17, 20, 0, 0, 0),
        struct.pack("=IHHII", 0xFFFFFFFF, 20, 0, 0, 0),
        message(20, b"abcd") + b"x",
    ],
)
def test_messages_with_lengths_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(messages(data))


@pytest.mark.parametrize("data", [struct.pack("=HH", 0, 1), struct.pack("=HH", 3, 1), struct.pack("=HH", 5, 1)])
def test_attributes_with_lengths_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        attribute_list(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        list(messages(data))
    with contextlib.suppress(Malformed):
        attribute_list(data)


@given(st.binary(max_size=30))
def test_a_name_can_be_shown_in_a_line(data: bytes) -> None:
    assert text(data).isprintable()


def test_numbers_that_are_not_there_are_what_is_said_instead() -> None:
    assert (u32(None), u32(b"\1"), u32(b"", 7), be32(None, 5), be32(b"\0\0\1\0")) == (0, 0, 7, 5, 256)
    assert u32(struct.pack("=I", 77)) == 77
