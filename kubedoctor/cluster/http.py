"""A small HTTP/1.1 client for probes and for applying manifests. Standard library only.

`http.client` would do the same, at the price of the email package in a process that must stay small.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping

from kubedoctor.host.http_answer import Answer, read_answer

__all__ = ["Answer", "Connection", "tls_context"]

_MAX_BODY = 8 << 20

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
        answer, reusable = read_answer(lambda: stream.recv(65536), limit=_MAX_BODY)
        if not reusable:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
