"""The tables of iptables-legacy: read as iptables saves them, refused when they are spoilt."""

from __future__ import annotations

import contextlib
import ipaddress
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import KUBE_PROXY, Network, needs, network
from support.spoilt import spoilt

from kubedoctor.facts import Absent, Malformed, Silent
from kubedoctor.host.agent import prepare, read_option
from kubedoctor.host.rules import TCP, UDP, Connection, Effect, Holds, Verdict
from kubedoctor.host.xt import match_holds, target_effect
from kubedoctor.host.xtables import LegacyTable, called, outcomes, parse_table, read_table, table_names

IPV6 = "*filter\n:INPUT DROP [0:0]\n:X - [0:0]\n-A INPUT -d fd00::1 -p udp --dport 53 -g X\n-A X -j ACCEPT\nCOMMIT\n"


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    needs("iptables-legacy-restore")
    with network() as one:
        one.run("iptables-legacy-restore", stdin=KUBE_PROXY)
        one.run("ip6tables-legacy-restore", stdin=IPV6)
        yield one


@pytest.fixture(scope="module")
def nat(made: Network) -> LegacyTable:
    prepare([made.net])
    return read_table(4, "nat", net=made.net)


def connection(address: str = "10.0.0.1", port: int = 443, protocol: int = TCP, *, local: bool = False) -> Connection:
    return Connection(destination=ipaddress.ip_address(address), port=port, protocol=protocol, local=local)


def effects(table: LegacyTable, chain: str, to: Connection) -> list[Effect]:
    return [one for outcome in outcomes(table, chain, to) for one in outcome.effects]


def test_tables_that_are_there_are_listed_by_version(made: Network) -> None:
    assert set(table_names(4, net=made.net)) == {"nat", "filter"}
    assert table_names(6, net=made.net) == ("filter",)
    with network() as other:
        assert table_names(4, net=other.net) == table_names(6, net=other.net) == ()


def test_chains_have_as_many_rules_as_iptables_saves(made: Network, nat: LegacyTable) -> None:
    saved = made.run("iptables-legacy-save", "-t", "nat").splitlines()
    chains = {line[1:].split()[0] for line in saved if line.startswith(":")}
    rules = {name: sum(line.startswith(f"-A {name} ") for line in saved) for name in chains}
    assert {name: len(entries) for name, entries in nat.chains.items()} == rules
    assert nat.hooks == dict.fromkeys(("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), "accept")
    assert called(nat, "OUTPUT") == ("KUBE-SERVICES",)
    assert called(nat, "KUBE-SVC-CXZHUCCWTMX77ZOF") == (
        "KUBE-MARK-MASQ",
        "KUBE-SEP-54LTP6ONNIIODHJP",
        "KUBE-SEP-QLI57GSQF6DMI6LJ",
    )


def test_rules_lead_where_iptables_says(nat: LegacyTable) -> None:
    (found,) = effects(nat, "KUBE-SERVICES", connection())
    assert (found.verdict, found.chain, found.holds) == (Verdict.JUMP, "KUBE-SVC-NPX46M4PTMTKRN6Y", Holds.YES)
    assert found.comment == "default/kubernetes:https cluster IP"
    masked, led = effects(nat, "KUBE-SEP-HMQVZHMME7GNOAFI", connection())
    assert (masked.verdict, masked.holds) == (Verdict.JUMP, Holds.MAYBE)
    assert (led.verdict, led.address, led.port, led.holds) == (Verdict.DNAT, "198.18.0.1", 6443, Holds.YES)
    shares = effects(nat, "KUBE-SVC-CXZHUCCWTMX77ZOF", connection("10.0.0.31", 80))
    assert [one.holds.name for one in shares] == ["MAYBE", "MAYBE", "SHARE", "YES"]
    local = effects(nat, "KUBE-SERVICES", connection("198.18.0.1", 443, local=True))
    assert [one.chain for one in local] == ["KUBE-NODEPORTS"]


def test_tables_of_ipv6_have_longer_entries(made: Network) -> None:
    prepare([made.net])
    table = read_table(6, "filter", net=made.net)
    assert table.hooks["INPUT"] == "drop"
    assert [(one.verdict, one.chain) for one in effects(table, "INPUT", connection("fd00::1", 53, UDP))] == [
        (Verdict.GOTO, "X")
    ]
    assert effects(table, "INPUT", connection("fd00::2", 53, UDP)) == []


def test_a_table_that_is_not_there_is_not_made(made: Network) -> None:
    prepare([made.net])
    with pytest.raises(Absent):
        read_table(4, "no-such-table", net=made.net)


# --- hostile bytes ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(made: Network) -> tuple[bytes, bytes]:
    """What the kernel gives for the table nat: its info, its entries."""
    prepare([made.net])
    name = b"nat".ljust(32, b"\0")
    info = read_option(2, 0, 64, name + bytes(52), net=made.net)
    (size,) = struct.unpack_from("=I", info, 80)
    return info, read_option(2, 0, 65, name + struct.pack("=I4x", size) + bytes(size), net=made.net)[40:]


@given(change=st.data(), version=st.sampled_from((4, 6)), in_info=st.booleans())
def test_what_is_spoilt_is_read_or_refused(
    raw: tuple[bytes, bytes], change: st.DataObject, version: int, in_info: bool
) -> None:
    info, entries = raw
    to = connection("fd00::1" if version == 6 else "10.0.0.1")
    with contextlib.suppress(Malformed):
        table = parse_table(
            version, "nat", change.draw(spoilt(info)) if in_info else info, change.draw(spoilt(entries))
        )
        for chain in list(table.chains):
            with contextlib.suppress(Malformed):
                called(table, chain)
                effects(table, chain, to)


NAMES = st.sampled_from(("tcp", "udp", "multiport", "addrtype", "conntrack", "state", "recent", "comment", "mark", ""))


@given(name=NAMES, revision=st.integers(0, 4), data=st.binary(max_size=200), protocol=st.sampled_from((TCP, UDP)))
def test_any_match_is_read_or_refused(name: str, revision: int, data: bytes, protocol: int) -> None:
    with contextlib.suppress(Malformed):
        match_holds(name, revision, data, connection(protocol=protocol))


@given(
    name=st.sampled_from(("DNAT", "REDIRECT", "REJECT", "MARK", "")),
    revision=st.integers(0, 3),
    data=st.binary(max_size=60),
    address=st.sampled_from(("10.0.0.1", "fd00::1")),
)
def test_any_target_is_read_or_refused(name: str, revision: int, data: bytes, address: str) -> None:
    with contextlib.suppress(Malformed):
        target_effect(name, revision, data, connection(address))


def test_that_a_process_has_ended_does_not_say_that_it_had_no_rules() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        with pytest.raises(Silent, match=f"process {process.pid}, in whose network namespace they are, has ended"):
            table_names(4, net=process.pid)
