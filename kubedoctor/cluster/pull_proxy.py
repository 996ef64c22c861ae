"""The proxy for image pulls: a small process outside that accepts from a listener made inside. Standard library only.

It serves CONNECT, and GET and HEAD of plain HTTP, to whoever knows the secret of this run: containerd gets it in the
URL of its proxy. So the machine's network is lent to that program alone, and of the machine's own loopback only the
ports that a mirror of registries was named with. A thread for each connection: look-ups of names block, and there are
few connections.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import threading

from kubedoctor.cluster.documents import Pulls
from kubedoctor.cluster.pull_request import LONGEST_HEAD, Refused, Request, parse_request
from kubedoctor.cluster.pull_route import LIMITS, Limits, connect, credentials_of
from kubedoctor.records import dataclass

MOST_CONNECTIONS = 128
"""At a time; more wait in the backlog. containerd makes some three for each image it pulls."""
_TURN = 64 << 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


@dataclass(frozen=True, slots=True)
class Proxy:
    """Serves connections; *secret* is the password that clients have to know."""

    pulls: Pulls
    secret: str
    limits: Limits = LIMITS

    def run(self, listener: socket.socket, lifeline: int) -> None:
        """Accept until the descriptor *lifeline* can be read; then let those under way finish."""
        free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(lifeline, select.POLLIN)
        listener.setblocking(False)
        threads: set[threading.Thread] = set()
        while lifeline not in dict(poll.poll()):
            threads = {thread for thread in threads if thread.is_alive()}
            try:
                client, _ = listener.accept()
            except OSError:
                continue  # gone again
            client.setblocking(True)
            free.acquire()
            thread = threading.Thread(target=self._serve_one, args=(client, free), daemon=True)
            thread.start()
            threads.add(thread)
        listener.close()
        for thread in threads:
            thread.join()

    def _serve_one(self, client: socket.socket, free: threading.BoundedSemaphore) -> None:
        try:
            self.serve(client)
        finally:
            free.release()

    def serve(self, client: socket.socket) -> None:
        """Serve one connection and close it. What breaks on one side is a reset on the other."""
        what = ""
        try:
            with client:
                client.settimeout(self.limits.silence)
                try:
                    request, rest = self._read(client)
                    what = request.where
                    self._pass_on(client, request, rest)
                except Refused as refusal:
                    _say(refusal.why)
                    _send_last(client, refusal.answer())
                except TimeoutError:
                    _say(f"{what or 'a client'} said nothing for {self.limits.silence:g} s")
                    _reset(client)
                except OSError as problem:
                    _say(f"{what or 'a client'}: {problem.strerror or problem}")
                    _reset(client)
        except OSError as problem:  # of the client itself, which has gone
            _say(f"a client: {problem.strerror or problem}")

    def _read(self, client: socket.socket) -> tuple[Request, bytes]:
        head, rest = _read_head(client)
        request = parse_request(head)
        if request.credentials != f"kubedoctor:{self.secret}".encode():
            raise Refused(407, "kubedoctor: this proxy is for image pulls of the container runtime only")
        return request, rest

    def _pass_on(self, client: socket.socket, request: Request, rest: bytes) -> None:
        server, proxy = connect(self.pulls, request, self.limits)
        with server:
            server.settimeout(self.limits.silence)
            if not request.is_tunnel:
                target = f"http://{request.where}{request.path}" if proxy else request.path
                server.sendall(request.head(target, *(credentials_of(proxy) if proxy else ())))
                _carry({server: client}, self.limits.silence)
                return
            early = _tunnelled(server, request, proxy) if proxy else b""
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n" + early)
            if rest:
                server.sendall(rest)
            _carry({client: server, server: client}, self.limits.silence)


def _tunnelled(server: socket.socket, request: Request, proxy: str) -> bytes:
    """Have the user's proxy connect on; return what it sent after its answer. Raise Refused when it does not."""
    more = "".join(f"{line}\r\n" for line in credentials_of(proxy))
    server.sendall(f"CONNECT {request.where} HTTP/1.1\r\nHost: {request.where}\r\n{more}\r\n".encode())
    head, rest = _read_head(server)
    status = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 1)
    if len(status) < 2 or not status[0].startswith("HTTP/1.") or not status[1].startswith("2"):
        told = " ".join(status[1:])[:200] or "nothing that HTTP knows"
        raise Refused(502, f"kubedoctor: cannot connect to {request.where}: HTTPS_PROXY answered {told}")
    return rest


def _read_head(source: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a message with its empty line, and what came after."""
    got = b""
    while b"\r\n\r\n" not in got:
        if len(got) > LONGEST_HEAD:
            raise Refused(431, "kubedoctor: the head of the message is too long")
        part = source.recv(_TURN)
        if not part:
            raise ConnectionResetError(0, "ended before its request was whole")
        got += part
    head, _, rest = got.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _carry(ways: dict[socket.socket, socket.socket], silence: float) -> None:
    """Copy from each socket to its other one until all have ended; raise TimeoutError when nothing moves."""
    sources = {source.fileno(): source for source in ways}
    poll = select.poll()
    for number in sources:
        poll.register(number, select.POLLIN)
    try:
        while sources:
            ready = poll.poll(silence * 1000)
            if not ready:
                raise TimeoutError
            for number, _ in ready:
                source = sources[number]
                if part := source.recv(_TURN):
                    ways[source].sendall(part)
                else:
                    poll.unregister(number)
                    del sources[number]
                    ways[source].shutdown(socket.SHUT_WR)
    except OSError:
        for source, sink in ways.items():  # cut short shall not look like whole
            _reset(source)
            _reset(sink)
        raise


def _send_last(client: socket.socket, answer: bytes) -> None:
    """Send *answer* and let the client read it: closed over unread bytes, it would be a reset."""
    client.sendall(answer)
    client.shutdown(socket.SHUT_WR)
    client.settimeout(1.0)
    with contextlib.suppress(OSError):
        while client.recv(_TURN):
            pass


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"image pulls: {text.removeprefix('kubedoctor: ')}", file=sys.stderr, flush=True)  # noqa: T201 - the log
