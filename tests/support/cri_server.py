"""A CRI server that tests pretend to be: real HTTP/2 on a unix socket, with replies they choose."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded


@dataclass(frozen=True)
class Reply:
    """A reply: *body* is a message, `code` and `message` what gRPC says of it."""

    body: bytes = b""
    code: int = 0
    message: str = ""


UNIMPLEMENTED = Reply(code=12, message="unknown service runtime.v1.RuntimeService")


@contextlib.contextmanager
def serving(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen at *path*; *serve* is given each connection in turn."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield str(path)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def cri(replies: Mapping[str, Reply]) -> Callable[[socket.socket], None]:
    """Return what serves these replies by method (`RuntimeService/Version`); Unimplemented for any other."""

    def serve(connection: socket.socket) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        method = ""
        while data := connection.recv(65536):
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {str(name): str(value) for name, value in event.headers or ()}
                    method = headers[":path"].removeprefix("/runtime.v1.")
                elif isinstance(event, StreamEnded):
                    answer(http, 1, replies.get(method, UNIMPLEMENTED))
            connection.sendall(http.data_to_send())

    return serve


def answer(http: H2Connection, stream: int, reply: Reply) -> None:
    head = [(":status", "200"), ("content-type", "application/grpc")]
    end = [("grpc-status", str(reply.code)), *([("grpc-message", reply.message)] if reply.message else [])]
    if reply.code:
        http.send_headers(stream, [*head, *end], end_stream=True)
        return
    http.send_headers(stream, head)
    data = struct.pack(">?I", False, len(reply.body)) + reply.body
    for start in range(0, len(data), 16384):
        http.send_data(stream, data[start : start + 16384])
    http.send_headers(stream, end, end_stream=True)
