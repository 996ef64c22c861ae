"""What a TLS server shows: one handshake with whatever listens there."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from support.certificates import authority
from support.tls import secured, serving

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Malformed, Silent
from kubedoctor.host.certificates import parse_certificates
from kubedoctor.host.tls import served_certificate

CA = authority()


@pytest.mark.parametrize("client_ca", [False, True])
def test_the_certificate_that_is_served_is_seen_whoever_signed_it(tmp_path: Path, client_ca: bool) -> None:
    leaf = CA.issue("leaf", "127.0.0.1")
    with serving(secured(tmp_path, leaf, client_ca=CA if client_ca else None)) as port:
        found = SharedLook().get(served_certificate, "127.0.0.1", port)
    assert found == parse_certificates(leaf.pem, "x")[0]


def test_who_speaks_no_tls_is_told() -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request\n")

    with serving(plain) as port, pytest.raises(Malformed, match=r"^127.0.0.1 port \d+ speaks no TLS$"):
        SharedLook().get(served_certificate, "127.0.0.1", port)


def test_who_hangs_up_or_never_answers_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubedoctor.host.tls.TIMEOUT", 0.2)
    with serving(lambda connection: None) as port, pytest.raises(Silent):
        SharedLook().get(served_certificate, "127.0.0.1", port)
    done = threading.Event()

    def hang(connection: socket.socket) -> None:
        done.wait()

    with serving(hang) as port:
        with pytest.raises(Silent, match="did not finish a TLS handshake"):
            SharedLook().get(served_certificate, "127.0.0.1", port)
        done.set()


def test_where_nobody_listens_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Silent, match="refused"):
        SharedLook().get(served_certificate, "127.0.0.1", port)
