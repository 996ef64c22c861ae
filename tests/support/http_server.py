"""An HTTP server that answers what a test says, byte for byte, over TCP, TLS or a unix socket."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.certificates import Issued, authority

BEGINS = -10 * 365
"""Days before NOW from which certificates hold here: the clock of the machine is the real one."""
CA = authority("server-ca", begins=BEGINS)
CLIENTS = authority("client-ca", begins=BEGINS)


def http(status: int, body: str | bytes = b"", *headers: str) -> bytes:
    """Return an answer with a Content-Length."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def json_answer(status: int, document: object, *headers: str) -> bytes:
    return http(status, json.dumps(document), "Date: Mon, 01 Jun 2026 12:00:00 GMT", *headers)


@dataclass
class Served:
    """Where it is, and what it was asked."""

    port: int = 0
    path: str = ""
    requests: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The first line of each request."""
        return [request.partition("\r\n")[0] for request in self.requests]


Answer = bytes | Callable[[str], bytes]


@contextlib.contextmanager
def served(
    *answers: Answer,
    tls: ssl.SSLContext | None = None,
    unix_socket: Path | None = None,
    pieces: int = 1 << 20,
) -> Iterator[Served]:
    """Answer one connection after the other, the last answer for all that come later."""
    with _listener(unix_socket) as listener:
        address = listener.getsockname()
        this = Served(path=address) if unix_socket else Served(port=address[1])
        over = threading.Event()

        def serve() -> None:
            count = 0
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                answer = answers[min(count, len(answers) - 1)]
                count += 1
                with contextlib.suppress(OSError), connection:
                    _answer(this, connection, answer, tls, pieces)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield this
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _listener(unix_socket: Path | None) -> socket.socket:
    if unix_socket is None:
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(unix_socket))
    listener.listen()
    return listener


def _answer(this: Served, connection: socket.socket, answer: Answer, tls: ssl.SSLContext | None, pieces: int) -> None:
    connection.settimeout(10)
    stream = tls.wrap_socket(connection, server_side=True) if tls else connection
    with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            part = stream.recv(65536)
            if not part:
                return
            request += part
        this.requests.append(request.decode("latin-1"))
        data = answer(this.requests[-1]) if callable(answer) else answer
        for start in range(0, len(data), pieces):
            stream.sendall(data[start : start + pieces])


def server_tls(directory: Path, *names: str, clients: bool = False) -> ssl.SSLContext:
    """Return the side of a server of CA, for *names*; with *clients*, it wants a certificate of CLIENTS."""
    leaf = CA.issue("server", *(names or ("127.0.0.1",)), begins=BEGINS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*leaf.write(directory, "server"))
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(CLIENTS.write(directory, "clients")[0])
    return context


def client(name: str = "system:admin") -> Issued:
    """Return a client that servers with *clients* accept."""
    return CLIENTS.issue(name, begins=BEGINS)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def kubeconfig(
    directory: Path, server: str = "https://127.0.0.1:6443", *, cluster: Any = None, user: Any = None, **more: Any
) -> str:
    """Write a kubeconfig for a server of CA; return its path."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "other", "context": {}}, {"name": "it", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": server, "certificate-authority-data": b64(CA.pem), **(cluster or {})}}
        ],
        "users": [{"name": "u", "user": user or {}}],
        **more,
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)
