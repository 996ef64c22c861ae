from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from support.certificates import authority
from support.children import child, descriptors
from support.http_server import BEGINS, CA, CLIENTS, client, http, served, server_tls

from kubedoctor.facts import Absent, Denied, Malformed, Silent
from kubedoctor.host import agent
from kubedoctor.host.http import HttpAnswer, Tls, http_get, http_request, tls_files
from kubedoctor.host.socket_agent import dismiss

OK = http(200, "ok", "X-One: 1")
OWN_NETWORK = ("unshare", "--user", "--map-root-user", "--net")


def test_an_answer_has_status_headers_and_body() -> None:
    with served(OK) as server:
        answer = http_get(f"http://127.0.0.1:{server.port}/a/b?c=d")
    assert (answer.status, answer.text, answer.headers["x-one"], answer.certificate) == (200, "ok", "1", b"")
    assert server.lines == ["GET /a/b?c=d HTTP/1.1"]
    assert f"Host: 127.0.0.1:{server.port}" in server.requests[0]


def test_a_body_is_sent_with_its_length() -> None:
    with served(http(503, "no")) as server:
        answer = http_request(
            f"http://localhost:{server.port}/v3",
            method="POST",
            body=b"{}",
            headers={"Content-Type": "application/json"},
        )
    assert answer.status == 503
    assert "Content-Length: 2\r\n" in server.requests[0]


def test_a_unix_socket_is_asked_as_any_server(tmp_path: Path) -> None:
    with served(OK, unix_socket=tmp_path / "socket"):
        assert http_request("http://x/", unix_socket=str(tmp_path / "socket")).text == "ok"
        with pytest.raises(Absent):
            http_request("http://x/", unix_socket=str(tmp_path / "none"))
    with pytest.raises(Silent, match="refused"):
        http_request("http://x/", unix_socket=str(tmp_path / "socket"))
    (tmp_path / "file").touch()
    with pytest.raises(Silent, match="refused"):
        http_request("http://x/", unix_socket=str(tmp_path / "file"))


def test_names_come_from_the_hosts_file_and_unknown_ones_are_absent() -> None:
    with served(OK) as server, pytest.raises(Absent, match=r"no-such-host\.invalid"):
        http_get(f"http://no-such-host.invalid:{server.port}/")
    with pytest.raises(Absent, match="not looked up in other namespaces"):
        http_get("http://no-such-host.invalid/", net=1)


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "http://", "http://[::1/", "http://x:99999/", "http://a b/", "http://x/\r\nHost: y", "http://ä/"],
)
def test_what_is_no_url_is_malformed(url: str) -> None:
    with pytest.raises(Malformed):
        http_get(url)


def test_no_password_of_a_url_is_told() -> None:
    for url in ("http://user:geheim@127.0.0.1:1/", "http://user:geheim@[/"):
        with pytest.raises((Silent, Malformed)) as caught:
            http_get(url)
        assert "geheim" not in str(caught.value)


# --- silence ----------------------------------------------------------------------------------------------------------


def test_nobody_who_listens_is_silent_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Silent, match="refused"):
        http_get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_nothing_costs_the_deadline_only(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begin = time.monotonic()
        with pytest.raises(Silent, match=r"did not answer within 0\.2 s"):
            http_get(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", deadline=0.2)
        assert time.monotonic() - begin < 1.5


def test_a_server_that_drips_costs_the_deadline_only() -> None:
    def drip(_: str) -> bytes:
        return http(200, "x" * 100)

    with served(drip, pieces=1) as server:
        assert http_get(f"http://127.0.0.1:{server.port}/").text == "x" * 100
    slow = socket.create_server(("127.0.0.1", 0))
    with slow:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = slow.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stop.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(Silent):
                http_get(f"http://127.0.0.1:{slow.getsockname()[1]}/", deadline=0.3)
        finally:
            stop.set()
            thread.join()


def test_more_than_the_limit_is_malformed() -> None:
    with served(http(200, "x" * 5000)) as server:
        assert len(http_request(f"http://127.0.0.1:{server.port}/", limit=5000).body) == 5000
        with pytest.raises(Malformed, match="too long"):
            http_request(f"http://127.0.0.1:{server.port}/", limit=4999)


def test_what_is_no_http_is_malformed_and_a_broken_connection_is_silent() -> None:
    with served(b"SSH-2.0-OpenSSH\r\n", b"") as server:
        with pytest.raises(Malformed, match="not HTTP"):
            http_get(f"http://127.0.0.1:{server.port}/")
        with pytest.raises(Silent, match="closed the connection"):
            http_get(f"http://127.0.0.1:{server.port}/")


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_any_certificate_is_taken_unless_an_authority_is_named(tmp_path: Path) -> None:
    with served(OK, tls=server_tls(tmp_path)) as server:
        answer = http_get(f"https://127.0.0.1:{server.port}/")
        known = http_get(f"https://127.0.0.1:{server.port}/", tls=Tls(authority=CA.pem, name="127.0.0.1", checked=True))
        with pytest.raises(Malformed, match="not accepted"):
            http_get(f"https://127.0.0.1:{server.port}/", tls=Tls(authority=CLIENTS.pem, checked=True))
        with pytest.raises(Malformed, match="not accepted"):
            http_get(f"https://127.0.0.1:{server.port}/", tls=Tls(authority=CA.pem, name="10.0.0.1", checked=True))
        with pytest.raises(Malformed, match="not accepted"):
            http_get(f"https://127.0.0.1:{server.port}/", tls=Tls(checked=True))
    assert ssl.DER_cert_to_PEM_cert(answer.certificate).encode() == (tmp_path / "server.crt").read_bytes()
    assert known.certificate == answer.certificate


def test_a_server_that_wants_a_certificate_is_denied_without_and_answers_with_one(tmp_path: Path) -> None:
    known, stranger = client(), authority("stranger", begins=BEGINS).issue("system:admin", begins=BEGINS)
    with served(OK, tls=server_tls(tmp_path, clients=True)) as server:
        url = f"https://127.0.0.1:{server.port}/"
        with pytest.raises(Denied, match="wants a client certificate"):
            http_get(url)
        with pytest.raises(Denied, match="wants a client certificate"):
            http_get(url, tls=Tls(certificate=stranger.pem, key=stranger.key_pem))
        assert http_get(url, tls=Tls(certificate=known.pem, key=known.key_pem)).text == "ok"


def test_a_certificate_comes_from_files_and_no_file_is_left(tmp_path: Path) -> None:
    certificate, key = client().write(tmp_path, "client")
    before = len(descriptors())
    with served(OK, tls=server_tls(tmp_path, clients=True)) as server:
        tls = tls_files(certificate=certificate, key=key)
        assert http_get(f"https://127.0.0.1:{server.port}/", tls=tls).text == "ok"
    assert len(descriptors()) == before
    with pytest.raises(Absent):
        tls_files(certificate=str(tmp_path / "none"))


def test_certificates_that_cannot_be_used_are_malformed_and_no_key_is_told(tmp_path: Path) -> None:
    one, other = client(), client()
    for tls in (
        Tls(certificate=one.pem, key=other.key_pem),
        Tls(certificate=one.pem, key=b"geheim"),
        Tls(certificate=b"geheim", key=one.key_pem),
        Tls(authority=b"geheim", checked=True),
        Tls(authority=b"\xff\xfe", checked=True),
    ):
        with pytest.raises(Malformed) as caught:
            http_get("https://127.0.0.1:1/", tls=tls)
        assert "geheim" not in str(caught.value)
        assert "geheim" not in repr(tls)


def test_an_encrypted_key_is_malformed_and_nobody_is_asked_for_its_pass_phrase() -> None:
    from cryptography.hazmat.primitives import serialization

    one = client()
    key = one.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(Malformed, match="cannot be used"):
        http_get("https://127.0.0.1:1/", tls=Tls(certificate=one.pem, key=key))


def test_tls_where_none_is_spoken_is_malformed() -> None:
    with served(OK, b"SSH-2.0-x\r\n") as server, pytest.raises((Malformed, Silent)):
        http_get(f"https://127.0.0.1:{server.port}/", deadline=0.5)


# --- network namespaces -----------------------------------------------------------------------------------------------

SERVER = """
import socket, subprocess
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(65536)
connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\ninside')
wait()
"""


def test_a_server_of_another_network_namespace_is_asked_there() -> None:
    with child(SERVER, prefix=OWN_NETWORK) as (process, port):
        agent.prepare([process.pid])
        try:
            answer = http_get(f"http://127.0.0.1:{port}/", net=process.pid)
        finally:
            dismiss()
    assert answer == HttpAnswer(status=200, body=b"inside", headers={"content-length": "6"})
