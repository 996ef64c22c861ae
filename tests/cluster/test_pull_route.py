"""Which way an image pull goes outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.documents import Pulls
from kubedoctor.cluster.pull_request import Refused, Request
from kubedoctor.cluster.pull_route import Limits, connect, credentials_of, is_exempt, is_hosts_own, upstream_of

PULLS = Pulls(
    address="127.0.0.2",
    port=3128,
    http_proxy="http://plain:1",
    https_proxy="http://tunnels:2",
    no_proxy="10.0.0.0/8,.inside,example.com:5000",
)


def tunnel(host: str, port: int = 443) -> Request:
    return Request(method="CONNECT", host=host, port=port)


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("*", "a.example", True),
        ("", "a.example", False),
        ("a.example", "a.example", True),
        ("a.example", "B.A.example.", True),
        ("a.example", "ba.example", False),
        (".a.example", "a.example", False),
        (".a.example", "b.a.example", True),
        ("*.a.example", "b.a.example", True),
        (" x , a.example ", "a.example", True),
        ("a.example:443", "a.example", True),
        ("a.example:80", "a.example", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "10.9.9.9", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "10.example", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::1", "fd00::1", True),
    ],
)
def test_no_proxy_is_read_as_gos_programs_do(no_proxy: str, host: str, exempt: bool) -> None:
    assert is_exempt(no_proxy, host, 443) is exempt


@given(st.text(), st.text())
def test_no_value_of_no_proxy_makes_it_fail(no_proxy: str, host: str) -> None:
    is_exempt(no_proxy, host, 443)


def test_users_proxies_are_taken_by_kind_of_request_and_not_where_exempt() -> None:
    assert upstream_of(PULLS, tunnel("registry.example")) == "http://tunnels:2"
    assert upstream_of(PULLS, Request(method="GET", host="registry.example", port=80)) == "http://plain:1"
    assert upstream_of(PULLS, tunnel("registry.inside")) == ""
    assert upstream_of(PULLS, tunnel("10.3.4.5")) == ""
    assert upstream_of(PULLS, tunnel("example.com", 5000)) == ""
    assert upstream_of(PULLS, tunnel("localhost.", 5000)) == ""


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"],
)
def test_all_names_of_the_machine_itself_are_known(host: str) -> None:
    assert is_hosts_own(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost.", "0.0.0.0", "::ffff:127.0.0.1"])
def test_machines_own_ports_are_for_mirrors_alone(host: str) -> None:
    with pytest.raises(Refused, match="the machine itself, which --registry-mirror does not name") as raised:
        connect(PULLS, tunnel(host, 22), Limits())
    assert raised.value.status == 403


def test_name_that_leads_to_the_machine_itself_is_no_way_around(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(2, 1, 6, "", ("127.0.0.1", 22))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answer)
    with pytest.raises(Refused, match="the machine itself"):
        connect(Pulls(address="", port=0), tunnel("rebound.example", 22), Limits())


def test_user_and_password_of_a_proxy_become_its_header() -> None:
    assert credentials_of("http://us%40er:p%3Aw@proxy:1") == ("Proxy-Authorization: Basic dXNAZXI6cDp3",)
    assert credentials_of("http://proxy:1") == ()
