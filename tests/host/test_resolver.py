from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent
from kubedoctor.host.resolver import ResolvConf, parse_resolv_conf, resolv_conf

TEXT = """\
# made by somebody
domain old.example.com
search example.com  corp.example.com
; nameserver 9.9.9.9
nameserver 127.0.0.53
  nameserver\tfe80::1%eth0
nameserver dns.example.com
options ndots:5 rotate
options timeout:1
sortlist 130.155.160.0
"""


def test_servers_domains_and_options_are_read_as_programs_do() -> None:
    assert parse_resolv_conf(TEXT) == ResolvConf(
        servers=("127.0.0.53", "fe80::1%eth0"),
        search=("example.com", "corp.example.com"),
        options=("ndots:5", "rotate", "timeout:1"),
        odd=("dns.example.com", "sortlist"),
    )


def test_the_last_domain_or_search_counts() -> None:
    assert parse_resolv_conf("search a b\ndomain c d\n").search == ("c",)


def test_servers_on_the_machine_itself_are_told_apart() -> None:
    found = parse_resolv_conf("nameserver 127.0.0.53\nnameserver ::1\nnameserver 8.8.8.8\n")
    assert found.loopback == ("127.0.0.53", "::1")


def test_it_is_a_fact_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.10\n")
    assert SharedLook().get(resolv_conf, str(path)).servers == ("10.0.0.10",)
    with pytest.raises(Absent):
        SharedLook().get(resolv_conf, str(tmp_path / "none"))


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for server in parse_resolv_conf(text).servers:
        ipaddress.ip_address(server.partition("%")[0])
    assert parse_resolv_conf(text).loopback is not None
