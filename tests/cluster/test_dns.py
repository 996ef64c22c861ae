"""Asking a name server: what it says, and what a broken or hostile one says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.dns import addresses_of, resolve

NAME = b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00"


def answer(query: bytes, *addresses: str, flags: int = 0x8180) -> bytes:
    header = query[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 30, 4) + socket.inet_aton(one) for one in addresses)
    return header + query[12:] + records


@pytest.fixture
def server() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening, listening.getsockname()[1]


def replying(listening: socket.socket, *replies: object) -> threading.Thread:
    def reply() -> None:
        query, asker = listening.recvfrom(4096)
        for one in replies:
            listening.sendto(one(query) if callable(one) else bytes(str(one), "ascii"), asker)

    thread = threading.Thread(target=reply, daemon=True)
    thread.start()
    return thread


def test_the_addresses_of_a_name_are_returned(server: tuple[socket.socket, int]) -> None:
    listening, port = server
    replying(listening, lambda query: answer(query, "10.0.0.1", "10.0.0.2"))
    assert resolve("kubernetes.default.svc.cluster.local", "127.0.0.1", port, timeout=5) == ("10.0.0.1", "10.0.0.2")


def test_an_answer_to_another_question_is_passed_over(server: tuple[socket.socket, int]) -> None:
    listening, port = server
    replying(
        listening,
        lambda query: answer(bytes((query[0] ^ 1, query[1])) + query[2:], "10.9.9.9"),
        lambda query: answer(query, "10.0.0.1"),
    )
    assert resolve("kubernetes.default.svc.cluster.local", "127.0.0.1", port, timeout=5) == ("10.0.0.1",)


def test_an_unknown_name_has_no_address(server: tuple[socket.socket, int]) -> None:
    listening, port = server
    replying(listening, lambda query: answer(query, flags=0x8183))
    assert resolve("no.such.name", "127.0.0.1", port, timeout=5) == ()


def test_a_port_nobody_listens_on_is_refused_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        resolve("name", "127.0.0.1", port, timeout=5)


def test_a_server_that_says_nothing_is_silent(server: tuple[socket.socket, int]) -> None:
    with pytest.raises(TimeoutError):
        resolve("name", "127.0.0.1", server[1], timeout=0.01)


@given(st.binary(max_size=300))
def test_whatever_comes_back_gives_addresses_or_none(message: bytes) -> None:
    assert isinstance(addresses_of(message), tuple)


@given(st.integers(0, 200))
def test_a_message_that_is_cut_off_gives_no_address_that_is_not_in_it(length: int) -> None:
    whole = answer(b"\x12\x34" + b"\0" * 10 + NAME + struct.pack(">HH", 1, 1), "10.0.0.1")
    assert addresses_of(whole[:length]) in ((), ("10.0.0.1",))
