"""The door to gRPC servers on unix sockets: one call, one reply, all of it within a deadline.

HTTP/2 with prior knowledge, by h2 on a socket of our own: httpx takes 120 ms to import and drops the trailers, which is
where gRPC says how a call went; h2 takes 15 ms.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from enum import IntEnum
from urllib.parse import unquote

from kubedoctor.facts import Denied, FactError, Malformed, Silent
from kubedoctor.host.errors import fact_error, printable
from kubedoctor.host.files import open_path
from kubedoctor.records import dataclass

DEADLINE = 2.0
"""Seconds for all of a call; a healthy containerd needs 3 ms."""
LIMIT = 16 << 20
"""Bytes of a reply: what the kubelet takes from its runtime."""

_PREFIX = struct.Struct(">?I")  # whether the message is compressed, and its length
_PIECE = 64 << 10


class Code(IntEnum):
    """How a call went, as far as we tell them apart; google.golang.org/grpc/codes."""

    OK = 0
    UNKNOWN = 2
    DEADLINE_EXCEEDED = 4
    PERMISSION_DENIED = 7
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcReply:
    """What a server replied: the code (0 is well), what it says of it, and the message, empty when there is none."""

    code: int
    message: str
    body: bytes


def grpc_call(
    path: str, method: str, request: bytes = b"", *, root: int = 0, deadline: float = DEADLINE, limit: int = LIMIT
) -> GrpcReply:
    """Return the reply to one unary call of *method* (`/package.Service/Name`) at the unix socket *path* of *root*.

    Raise Absent when there is no socket, Denied when we may not use it, Silent when nobody listens, the connection is
    broken off or the reply is not there within *deadline* seconds, Malformed for what is no HTTP/2 or too large.
    """
    until = time.monotonic() + deadline
    where = printable(path)
    try:
        with _connected(path, root, until) as stream:
            return _Call(stream, until, limit).run(method, request)
    except FactError:
        raise
    except TimeoutError:
        raise Silent(f"{where} did not answer within {deadline:g} s") from None
    except ConnectionError as problem:
        raise Silent(f"{where}: {_reason(problem)}") from problem
    except BlockingIOError:
        raise Silent(f"{where} takes no more connections: too many wait already") from None
    except OSError as problem:
        raise fact_error(problem, where) from problem
    except ValueError as problem:
        raise Malformed(f"{where} does not speak gRPC: {printable(str(problem))}") from problem


def _connected(path: str, root: int, until: float) -> socket.socket:
    handle = open_path(path, root=root)
    try:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.settimeout(_left(until))
            stream.connect(f"/proc/self/fd/{handle}")
        except BaseException as problem:
            stream.close()
            if isinstance(problem, ConnectionRefusedError):
                raise Silent(f"nobody listens at {printable(path)}") from problem
            if isinstance(problem, PermissionError):
                who = "refused, even to root" if not os.geteuid() else "needs root"
                raise Denied(f"{who} to use {printable(path)}") from problem
            raise
        return stream
    finally:
        os.close(handle)


class _Call:
    """One call on a connection of its own."""

    def __init__(self, stream: socket.socket, until: float, limit: int) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._stream, self._until, self._limit = stream, until, limit
        self._http = H2Connection(H2Configuration(client_side=True))
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()

    def run(self, method: str, request: bytes) -> GrpcReply:
        from h2.exceptions import H2Error

        try:
            self._http.initiate_connection()
            self._http.increment_flow_control_window(self._limit)
            milliseconds = max(int((self._until - time.monotonic()) * 1000), 1)
            headers = [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", method),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("grpc-timeout", f"{milliseconds}m"),
                ("user-agent", "kubedoctor"),
            ]
            self._http.send_headers(1, headers)
            self._http.increment_flow_control_window(self._limit, 1)
            self._http.send_data(1, _PREFIX.pack(False, len(request)) + request, end_stream=True)
            self._receive()
        except H2Error as problem:
            raise ValueError(str(problem) or type(problem).__name__) from problem
        return self._reply()

    def _receive(self) -> None:
        received = 0
        while True:
            self._send()
            self._stream.settimeout(_left(self._until))
            piece = self._stream.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the connection was closed before the answer")
            received += len(piece)
            # Ten thousand frames without content are as bad as a message that is too long.
            if received > self._limit + (1 << 20):
                raise Malformed(f"the reply is longer than {self._limit >> 20} MiB")
            if self._take(piece):
                return

    def _take(self, piece: bytes) -> bool:
        """Take what has come; return whether the reply is complete."""
        from h2 import events

        for event in self._http.receive_data(piece):
            match event:
                case events.ResponseReceived() | events.TrailersReceived():
                    self._headers.update((bytes(name), bytes(value)) for name, value in event.headers or ())
                case events.DataReceived():
                    self._body += event.data or b""
                    if len(self._body) > self._limit:
                        raise Malformed(f"the reply is longer than {self._limit >> 20} MiB")
                    self._http.acknowledge_received_data(event.flow_controlled_length or 0, 1)
                case events.StreamEnded():
                    return True
                case events.StreamReset() | events.ConnectionTerminated():
                    raise ConnectionResetError("the call was broken off")
        return False

    def _send(self) -> None:
        waiting = self._http.data_to_send()
        if waiting:
            self._stream.settimeout(_left(self._until))
            self._stream.sendall(waiting)

    def _reply(self) -> GrpcReply:
        status = self._headers.get(b":status", b"")
        if status != b"200":
            raise ValueError(f"it answers {status.decode(errors='replace')}")
        code = self._headers.get(b"grpc-status", b"")
        if not (code.isdigit() and len(code) < 5):
            raise ValueError("the reply has no grpc-status")
        message = printable(unquote(self._headers.get(b"grpc-message", b"").decode(errors="replace")))
        if int(code) != Code.OK:
            return GrpcReply(code=int(code), message=message, body=b"")
        if len(self._body) < _PREFIX.size:
            raise ValueError("the reply has no message")
        compressed, length = _PREFIX.unpack_from(self._body)
        if compressed or length != len(self._body) - _PREFIX.size:
            raise ValueError("the reply is not one plain message")
        return GrpcReply(code=Code.OK, message="", body=bytes(self._body[_PREFIX.size :]))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _reason(problem: OSError) -> str:
    return os.strerror(problem.errno).lower() if problem.errno else str(problem)
