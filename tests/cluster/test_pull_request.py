"""What the proxy for image pulls takes for a request."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.pull_request import Refused, Request, parse_request


def test_tunnel_is_to_a_host_and_a_port() -> None:
    assert parse_request(b"CONNECT registry.example:443 HTTP/1.1\r\nHost: x\r\n\r\n") == Request(
        method="CONNECT", host="registry.example", port=443
    )
    six = parse_request(b"CONNECT [fd00::1]:5000 HTTP/1.1\r\n\r\n")
    assert (six.host, six.port, six.where) == ("fd00::1", 5000, "[fd00::1]:5000")


def test_plain_request_is_passed_on_without_what_is_for_the_proxy() -> None:
    secret = base64.b64encode(b"kubedoctor:x").decode()
    request = parse_request(
        b"GET http://localhost.:5000/v2/a?ns=b HTTP/1.1\r\nHost: localhost.:5000\r\nAccept: */*\r\n"
        b"Proxy-Authorization: Basic " + secret.encode() + b"\r\nConnection: keep-alive\r\n\r\n"
    )
    assert request.credentials == b"kubedoctor:x"
    head = request.head(request.path).decode()
    assert head == ("GET /v2/a?ns=b HTTP/1.1\r\nHost: localhost:5000\r\nAccept: */*\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET https://a/ HTTP/1.1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT a HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:0 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:70000 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a@b:1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT /etc:1 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nX: a\nY: b\r\n\r\n", 400),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
    ],
)
def test_everything_else_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(Refused) as raised:
        parse_request(head)
    assert raised.value.status == status


@given(
    st.one_of(
        st.binary(), st.builds(b"GET http://%b/%b HTTP/1.1\r\n%b: %b\r\n\r\n".__mod__, st.tuples(*[st.binary()] * 4))
    )
)
def test_no_bytes_make_it_fail_otherwise_or_smuggle_a_line(head: bytes) -> None:
    with contextlib.suppress(Refused):
        request = parse_request(head)
        assert 0 < request.port < 65536
        lines = request.head(request.path or "/").split(b"\r\n")
        assert len(lines) == len(request.headers) + 5
        assert not any(b"\n" in line or b"\r" in line for line in lines)


@given(st.text())
def test_reason_stands_in_one_line_of_ascii(why: str) -> None:
    line = Refused(502, why).answer().split(b"\r\n")[0]
    assert line.isascii()
    assert b"\n" not in line
