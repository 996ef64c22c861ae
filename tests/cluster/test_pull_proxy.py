"""The proxy for image pulls with real sockets: what goes through, and what is told of what does not."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.http_server import http, served

from kubedoctor.cluster.documents import Pulls
from kubedoctor.cluster.pull_proxy import Proxy
from kubedoctor.cluster.pull_route import Limits

pytestmark = pytest.mark.timeout(60)
SECRET = "0123456789abcdef"
AUTHORIZED = f"Proxy-Authorization: Basic {base64.b64encode(f'kubedoctor:{SECRET}'.encode()).decode()}\r\n"
PULLS = Pulls(address="127.0.0.2", port=3128)
SHORT = Limits(lookup=0.3, connect=0.3, silence=0.5)


@contextlib.contextmanager
def proxy(pulls: Pulls = PULLS, limits: Limits = SHORT) -> Iterator[Callable[[], socket.socket]]:
    """Yield what connects to a proxy that runs in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    lifeline, ours = os.pipe()
    thread = threading.Thread(target=Proxy(pulls, SECRET, limits).run, args=(listener, lifeline))
    thread.start()
    try:
        yield lambda: socket.create_connection(address, timeout=10)
    finally:
        os.close(ours)
        thread.join(10)
        os.close(lifeline)
    assert not thread.is_alive()


def all_of(connection: socket.socket) -> str:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            got += part
    return got.decode()


def asked(connect: Callable[[], socket.socket], request: str) -> str:
    with connect() as client:
        client.sendall(request.encode())
        return all_of(client)


def allowed(*ports: int, http_proxy: str = "", https_proxy: str = "") -> Pulls:
    return replace(PULLS, loopback=ports, http_proxy=http_proxy, https_proxy=https_proxy)


def test_plain_request_is_passed_on() -> None:
    with served(http(200, "found")) as server, proxy(allowed(server.port)) as connect:
        answer = asked(connect, f"GET http://localhost.:{server.port}/v2/?ns=a HTTP/1.1\r\n{AUTHORIZED}X: y\r\n\r\n")
    assert answer.endswith("\r\n\r\nfound")
    (request,) = server.requests
    assert request == f"GET /v2/?ns=a HTTP/1.1\r\nHost: localhost:{server.port}\r\nX: y\r\nConnection: close\r\n\r\n"


def test_tunnel_carries_both_ways_and_ends_each_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with proxy(allowed(port)) as connect, connect() as client:
            client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{AUTHORIZED}\r\nearly".encode())
            served_one, _ = server.accept()
            with served_one:
                assert client.recv(100) == b"HTTP/1.1 200 Connection established\r\n\r\n"
                assert served_one.recv(100) == b"early"
                client.shutdown(socket.SHUT_WR)
                assert served_one.recv(100) == b""
                served_one.sendall(b"late")
            assert all_of(client) == "late"


@pytest.mark.parametrize(
    "header", ["", "Proxy-Authorization: Basic a3ViZWRvY3Rvcjo=\r\n", "Proxy-Authorization: Basic !\r\n"]
)
def test_who_does_not_know_the_secret_gets_nothing(header: str) -> None:
    with served(http(200)) as server, proxy(allowed(server.port)) as connect:
        answer = asked(connect, f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n{header}\r\n")
    assert answer.startswith("HTTP/1.1 407 kubedoctor: this proxy is for image pulls")
    assert not server.requests


def test_registry_that_refuses_is_told_as_such(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with proxy(allowed(port)) as connect:
            answer = asked(connect, f"CONNECT localhost.:{port} HTTP/1.1\r\n{AUTHORIZED}\r\n")
    assert answer.startswith(f"HTTP/1.1 502 kubedoctor: cannot connect to localhost.:{port}: connection refused\r\n")
    assert f"image pulls: cannot connect to localhost.:{port}: connection refused" in capfd.readouterr().err


def test_name_server_that_hangs_hinders_no_other_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    look_up = socket.getaddrinfo

    def hangs(host: str, *more: Any, **fields: Any) -> object:
        return over.wait(10) and [] if host == "slow.example" else look_up(host, *more, **fields)

    monkeypatch.setattr("socket.getaddrinfo", hangs)
    limits = replace(SHORT, lookup=2.0)
    with served(http(200, "found")) as server, proxy(allowed(server.port), limits) as connect, connect() as slow:
        slow.sendall(f"CONNECT slow.example:443 HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        assert "found" in asked(connect, f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n{AUTHORIZED}\r\n")
        assert "504 kubedoctor: looking up slow.example takes longer than 2 s" in all_of(slow)
        over.set()


def test_registry_that_takes_a_connection_and_says_nothing_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with proxy(allowed(port)) as connect, connect() as client:
            client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    assert f"image pulls: 127.0.0.1:{port} said nothing for 0.5 s" in capfd.readouterr().err


def test_registry_that_dies_midway_is_a_reset_not_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with proxy(allowed(port)) as connect, connect() as client:
            client.sendall(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            served_one, _ = server.accept()
            served_one.recv(1000)
            served_one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            assert client.recv(1000).endswith(b"half")
            served_one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            served_one.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_users_own_proxy_is_asked_with_its_credentials() -> None:
    with served(b"HTTP/1.1 200 OK\r\n\r\nhello") as server:
        upstream = f"http://user:word@127.0.0.1:{server.port}"
        with proxy(allowed(https_proxy=upstream)) as connect:
            answer = asked(connect, f"CONNECT registry.example:443 HTTP/1.1\r\n{AUTHORIZED}\r\n")
    assert answer == "HTTP/1.1 200 Connection established\r\n\r\nhello"
    (request,) = server.requests
    assert request.startswith("CONNECT registry.example:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in request
    assert SECRET not in base64.b64decode(request.partition("Basic ")[2].split()[0]).decode()


def test_users_own_proxy_gets_whole_urls_of_plain_requests() -> None:
    request = f"GET http://registry.example/v2/ HTTP/1.1\r\n{AUTHORIZED}\r\n"
    with served(http(200, "found")) as server, proxy(allowed(http_proxy=f"http://127.0.0.1:{server.port}")) as connect:
        assert "found" in asked(connect, request)
    assert server.lines == ["GET http://registry.example:80/v2/ HTTP/1.1"]


def test_refusal_of_the_users_own_proxy_is_passed_on() -> None:
    with served(http(407)) as server, proxy(allowed(https_proxy=f"http://127.0.0.1:{server.port}")) as connect:
        answer = asked(connect, f"CONNECT registry.example:443 HTTP/1.1\r\n{AUTHORIZED}\r\n")
    assert answer.startswith(
        "HTTP/1.1 502 kubedoctor: cannot connect to registry.example:443: HTTPS_PROXY answered 407 Whatever\r\n"
    )
