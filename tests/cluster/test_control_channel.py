"""Messages and their descriptors survive however the stream is cut, and a bad peer harms nobody."""

from __future__ import annotations

import array
import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.cluster.channel import (
    MAX_BACKLOG,
    MAX_DESCRIPTORS,
    MAX_LINE,
    Channel,
    ChannelClosed,
    ProtocolError,
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = (Channel(each) for each in socket.socketpair())
    with left, right:
        yield left, right


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Channel]]:
    left, right = socket.socketpair()
    with left, Channel(right) as channel:
        yield left, channel


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def send_raw(connection: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([data], rights)


def test_messages_come_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    for number in range(3):
        left.send({"number": number, "text": "zwölf\n€"})
    assert [message["number"] for message, _ in right.receive()] == [0, 1, 2]
    assert right.receive() == []


names = st.lists(st.integers(0, 3), min_size=1, max_size=12)


@given(counts=names, cuts=st.lists(st.integers(1, 40), max_size=200), rest=st.integers(1, 1000))
@settings(deadline=None)
def test_descriptors_belong_to_their_message_however_the_stream_is_cut(
    counts: list[int], cuts: list[int], rest: int
) -> None:
    before = open_descriptors()
    left, right = socket.socketpair()
    received: list[tuple[dict[str, Any], list[int]]] = []
    with left, Channel(right) as channel:
        sizes = iter([*cuts, *([rest] * 10_000)])
        for number, count in enumerate(counts):
            files = [os.memfd_create(f"{number}.{index}") for index in range(count)]
            line = json.dumps({"number": number, **({"fds": count} if count else {})}).encode() + b"\n"
            descriptors = files
            while line:  # as a sender whose socket is nearly full does: the descriptors go with the first part
                size = next(sizes)
                send_raw(left, line[:size], descriptors)
                line, descriptors = line[size:], []
                if size % 3 == 0 or not select.select([], [left], [], 0)[1]:
                    received += channel.receive()
            for each in files:
                os.close(each)
        received += channel.receive()
    assert [message for message, _ in received] == [{"number": number} for number in range(len(counts))]
    for (message, descriptors), count in zip(received, counts, strict=True):
        assert len(descriptors) == count
        for index, each in enumerate(descriptors):
            assert f"memfd:{message['number']}.{index} " in str(Path(f"/proc/self/fd/{each}").readlink())
            assert not os.get_inheritable(each)
            os.close(each)
    assert open_descriptors() == before


@given(
    chunks=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"{}\n", b'{"fds": 1}\n', b"\n", b"[" * 5000]), max_size=8
    ),
    files=st.integers(0, 3),
)
@settings(deadline=None)
def test_garbage_is_a_protocol_error_of_one_line_and_leaks_nothing(chunks: list[bytes], files: int) -> None:
    before = open_descriptors()
    left, right = socket.socketpair()
    with left, Channel(right) as channel:
        for chunk in chunks:
            if chunk:
                send_raw(left, chunk, [left.fileno()] * files)
        left.shutdown(socket.SHUT_WR)
        said = until_error(channel)
    assert "\n" not in said
    assert len(said) < 400
    assert open_descriptors() == before


def until_error(channel: Channel) -> str:
    """Receive and drop everything; return how it ended."""
    while True:
        try:
            messages = channel.receive()
        except (ProtocolError, ChannelClosed) as error:
            return str(error)
        assert messages
        for message, descriptors in messages:
            assert isinstance(message, dict)
            for each in descriptors:
                os.close(each)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{]\n", "not JSON: '{]'"),
        (b"\xff\n", "not JSON"),
        (b"[1]\n", "not a JSON object: '[1]'"),
        (b"3\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"fds": -1}\n', "`fds` is a number"),
        (b'{"fds": true}\n', "`fds` is a number"),
        (b'{"fds": 65}\n', "`fds` is a number"),
        (b'{"fds": 2}\n', "2 descriptors were announced, 0 came"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_message_is_named(raw: tuple[socket.socket, Channel], line: bytes, said: str) -> None:
    left, channel = raw
    left.sendall(line)
    with pytest.raises(ProtocolError, match="^" + said.replace("[", r"\[")):
        channel.receive()


def test_messages_before_the_garbage_are_delivered_and_an_answer_can_be_given(
    raw: tuple[socket.socket, Channel],
) -> None:
    left, channel = raw
    left.sendall(b'{"good": 1}\ngarbage\n{"never": "read"}\n')
    assert channel.receive() == [({"good": 1}, [])]
    assert select.select([channel], [], [], 0)[0], "a level-triggered loop comes back for the error"
    with pytest.raises(ProtocolError, match="garbage"):
        channel.receive()
    channel.send({"ok": False})
    assert left.recv(64) == b'{"ok":false}\n'


def test_a_line_without_end_is_refused_at_a_mebibyte(raw: tuple[socket.socket, Channel]) -> None:
    left, channel = raw
    left.setblocking(False)
    for _ in range(MAX_LINE // 50_000):
        left.sendall(b"x" * 50_000)
        assert channel.receive() == []
    left.sendall(b"x" * 50_000)
    with pytest.raises(ProtocolError, match="longer than 1048576 bytes"):
        channel.receive()


def test_a_message_too_large_or_with_too_many_descriptors_is_not_sent(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    with pytest.raises(ProtocolError, match="longer than"):
        left.send({"text": "x" * MAX_LINE})
    with pytest.raises(ProtocolError, match="65 descriptors"):
        left.send({}, [0] * (MAX_DESCRIPTORS + 1))
    with pytest.raises(ProtocolError, match="belongs to the framing"):
        left.send({"fds": 1})
    left.send({"small": 1}, [0] * MAX_DESCRIPTORS)
    ((message, descriptors),) = right.receive()
    assert message == {"small": 1}
    assert len(descriptors) == MAX_DESCRIPTORS
    for each in descriptors:
        os.close(each)


def test_descriptors_nobody_announced_are_closed(raw: tuple[socket.socket, Channel]) -> None:
    left, channel = raw
    before = open_descriptors()
    send_raw(left, b"{}\n", [left.fileno()] * 3)
    assert channel.receive() == [({}, [])]
    with pytest.raises(ProtocolError, match="3 descriptors came that no message announced"):
        channel.receive()
    assert open_descriptors() == before


def test_descriptors_of_a_flood_are_closed(raw: tuple[socket.socket, Channel]) -> None:
    left, channel = raw
    before = open_descriptors()
    send_raw(left, b"{", [left.fileno()] * 250)
    with pytest.raises(ProtocolError, match="more than 64 descriptors"):
        channel.receive()
    assert open_descriptors() == before


def test_a_peer_that_does_not_read_is_cut_off_and_its_descriptors_are_closed(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    before = open_descriptors()
    message = {"text": "x" * 100_000}
    while left.backlog + 100_100 < MAX_BACKLOG:
        left.send(message, [0])
    with pytest.raises(ChannelClosed, match="does not read"):
        left.send(message, [0])
    assert left.closed
    right.close()
    assert open_descriptors() == before - 2


def test_what_waited_goes_on_when_the_peer_reads_again(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    for number in range(30):
        left.send({"number": number, "text": "x" * 100_000}, [0])
    assert left.wants_write
    numbers: list[int] = []
    while len(numbers) < 30:
        for message, descriptors in right.receive():
            numbers.append(message["number"])
            os.close(*descriptors)
        left.flush()
    assert numbers == list(range(30))
    assert not left.wants_write
    assert left.backlog == 0


def test_the_end_comes_after_the_last_message(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    left.send({"last": "word"})
    left.close()
    assert right.receive() == [({"last": "word"}, [])]
    with pytest.raises(ChannelClosed, match="the peer closed the connection"):
        right.receive()
    with pytest.raises(ChannelClosed, match="the peer is gone"):
        right.send({"too": "late"})
    right.close()
    with pytest.raises(ChannelClosed, match="the channel is closed"):
        right.receive()


def test_an_end_within_a_message_is_said(raw: tuple[socket.socket, Channel]) -> None:
    left, channel = raw
    left.sendall(b'{"half": ')
    left.close()
    with pytest.raises(ChannelClosed, match="within a message"):
        channel.receive()


def test_waiting_ends_with_a_message_or_in_time(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    assert not right.wait(0)
    assert not right.wait(-1)
    left.send({})
    assert right.wait()
