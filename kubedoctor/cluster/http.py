"""A small HTTP/1.1 client for probes and for applying manifests. Standard library only.

`http.client` would do the same, at the price of the email package in a process that must stay small.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass

_MAX_BODY = 8 << 20
_MAX_HEADERS = 64 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes


_context_lock = threading.Lock()  # OpenSSL builds its tables at the first context; two at once cost twice


def tls_context(ca_file: str = "", cert_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """Return a client context that checks the server against *ca_file*, or takes any certificate without one."""
    with _context_lock:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the address is ours to choose: the authority tells whether it is our server
        if ca_file:
            context.load_verify_locations(ca_file)
        else:
            context.verify_mode = ssl.CERT_NONE
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
        return context


class Connection:
    """A connection to one server, kept open between requests and made anew when it broke."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext | None = None, timeout: float = 2.0) -> None:
        self._where = (address, port)
        self._context = context
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer; raise OSError when there is none within the timeout.

        A kept connection that the server has closed meanwhile is replaced once: a request on it was never read.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._where[0]}:{self._where[1]}", "Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in {"PATCH", "POST", "PUT"}:
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        kept = self._socket is not None
        try:
            return self._exchange(data)
        except ConnectionError:
            self.close()
            if not kept:
                raise
            return self._exchange(data)
        except (OSError, ValueError) as problem:
            self.close()
            raise OSError(str(problem)) from problem

    def _exchange(self, data: bytes) -> Answer:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(data)
        return self._read(self._socket)

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._where, timeout=self._timeout)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._where[0])
        except BaseException:
            plain.close()
            raise

    def _read(self, stream: socket.socket) -> Answer:
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            piece = stream.recv(16384)
            if not piece:
                raise ConnectionResetError("the server closed the connection without an answer")
            buffer += piece
            if len(buffer) > _MAX_HEADERS:
                raise ValueError("the answer's headers are too long")
        head, _, rest = buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ValueError(f"not HTTP: {first[:60]!r}")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body, whole = self._read_body(stream, fields, rest)
        if not whole or fields.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(words[1]), body)

    def _read_body(self, stream: socket.socket, fields: Mapping[str, str], rest: bytes) -> tuple[bytes, bool]:
        """Return the body, and whether the connection can serve another request."""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return _unchunk(stream, rest), True
        length = fields.get("content-length")
        if length is not None and not length.isdigit():
            raise ValueError(f"bad Content-Length {length[:20]!r}")
        while (len(rest) < int(length)) if length is not None else True:
            if len(rest) > _MAX_BODY:
                raise ValueError("the answer is too long")
            piece = stream.recv(65536)
            if not piece:
                break
            rest += piece
        return rest, length is not None and len(rest) == int(length)

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _unchunk(stream: socket.socket, buffer: bytes) -> bytes:
    body = b""

    def until(count: int) -> None:
        nonlocal buffer
        while len(buffer) < count:
            piece = stream.recv(65536)
            if not piece:
                raise ConnectionResetError("the server closed the connection in the middle of an answer")
            buffer += piece

    while True:
        while b"\r\n" not in buffer:
            until(len(buffer) + 1)
        line, _, buffer = buffer.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size < 0 or len(body) + size > _MAX_BODY:
            raise ValueError("the answer is too long")
        until(size + 2)
        body, buffer = body + buffer[:size], buffer[size + 2 :]
        if size == 0:
            return body
