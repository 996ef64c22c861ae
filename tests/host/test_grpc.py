from __future__ import annotations

import contextlib
import os
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cri_server import Reply, cri, serving

from kubedoctor import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host import grpc
from kubedoctor.host.grpc import grpc_call

FRAMES = st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40))
METHOD = "/runtime.v1.RuntimeService/Version"


def asked(
    path: Path, serve: Callable[[socket.socket], None], *, deadline: float = 5, limit: int = 1 << 20
) -> grpc.GrpcReply:
    with serving(path, serve) as where:
        return grpc_call(where, METHOD, b"\x08\x01", deadline=deadline, limit=limit)


def test_a_reply_comes_back_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 1200
    reply = asked(tmp_path / "s", cri({"RuntimeService/Version": Reply(body)}))
    assert (reply.code, reply.message, reply.body) == (0, "", body)


def test_an_empty_message_is_a_reply(tmp_path: Path) -> None:
    assert asked(tmp_path / "s", cri({"RuntimeService/Version": Reply()})).body == b""


def test_a_refusal_is_a_reply_with_its_words(tmp_path: Path) -> None:
    reply = asked(tmp_path / "s", cri({"RuntimeService/Version": Reply(code=14, message="not yet: 50%25\x1b")}))
    assert (reply.code, reply.message) == (14, "not yet: 50%?")


def test_no_socket_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="does not exist"):
        grpc_call(str(tmp_path / "none"), METHOD)


def test_a_socket_left_behind_is_told_from_one_that_hangs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    with pytest.raises(Silent, match="nobody listens at"):
        grpc_call(str(tmp_path / "left"), METHOD)


def test_what_is_no_socket_is_not_asked(tmp_path: Path) -> None:
    file, fifo = tmp_path / "file", tmp_path / "fifo"
    file.touch()
    os.mkfifo(fifo)
    for path in (file, fifo):
        with pytest.raises((Silent, Malformed)):
            grpc_call(str(path), METHOD, deadline=1)


def test_a_server_that_never_answers_costs_the_deadline(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(Silent, match=r"did not answer within 0\.3 s"):
        asked(tmp_path / "s", drain, deadline=0.3)
    assert 0.25 < time.monotonic() - begun < 2


def test_nobody_who_accepts_costs_the_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(8)
        with pytest.raises(Silent, match="did not answer within"):
            grpc_call(str(tmp_path / "s"), METHOD, deadline=0.3)


def test_a_full_backlog_is_silent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        waiting.connect(str(tmp_path / "s"))
        with pytest.raises(Silent, match="takes no more connections"):
            grpc_call(str(tmp_path / "s"), METHOD, deadline=0.3)


def drain(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_a_connection_that_is_closed_is_silent(tmp_path: Path) -> None:
    with pytest.raises(Silent):
        asked(tmp_path / "s", lambda connection: None)


def test_an_http_1_server_is_malformed(tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with pytest.raises((Malformed, Silent)):
        asked(tmp_path / "s", serve, deadline=1)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def test_a_flood_of_empty_frames_ends(tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(frame(4, 0, 0, b""))
        while True:
            connection.sendall(frame(4, 1, 0, b"") * 1000)

    with pytest.raises((Malformed, Silent)):
        asked(tmp_path / "s", serve, deadline=2, limit=1 << 10)


def test_a_reply_that_is_too_long_is_malformed(tmp_path: Path) -> None:
    with pytest.raises((Malformed, Silent), match=r"longer than|did not answer|window"):
        asked(tmp_path / "s", cri({"RuntimeService/Version": Reply(b"x" * 60000)}), limit=1 << 14)


def test_a_length_that_is_a_lie_is_malformed(tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        status = bytes([0x88, 0x00, 11]) + b"grpc-status" + bytes([1]) + b"0"
        connection.sendall(frame(4, 0, 0, b"") + frame(1, 4, 1, status) + frame(0, 1, 1, b"\0\xff\xff\xff\xff"))
        drain(connection)

    with pytest.raises(Malformed, match="not one plain message"):
        asked(tmp_path / "s", serve)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_a_server_sends_ends_in_a_fact_error_or_a_reply(data: bytes, polite: bool) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall((frame(4, 0, 0, b"") if polite else b"") + data)

    with tempfile.TemporaryDirectory() as directory, contextlib.suppress(FactError):
        asked(Path(directory) / "s", serve, deadline=1)


@settings(max_examples=60, deadline=None)
@given(st.lists(FRAMES, max_size=6))
def test_whatever_frames_a_server_sends_end_in_a_fact_error_or_a_reply(
    frames: list[tuple[int, int, int, bytes]],
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(frame(4, 0, 0, b"") + b"".join(frame(*one) for one in frames))

    with tempfile.TemporaryDirectory() as directory, contextlib.suppress(FactError):
        asked(Path(directory) / "s", serve, deadline=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_a_socket_that_is_not_ours_is_denied(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        (tmp_path / "s").chmod(0)
        with pytest.raises(Denied, match="needs root"):
            grpc_call(str(tmp_path / "s"), METHOD)
