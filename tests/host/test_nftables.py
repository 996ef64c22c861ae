"""What nf_tables tells: read as nft prints it, run as the kernel runs it, refused when it is spoilt."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import KUBE_PROXY, KUBE_PROXY_NFTABLES, Network, needs, network
from support.spoilt import spoilt

from kubedoctor.facts import Malformed
from kubedoctor.host import nftables
from kubedoctor.host.agent import prepare
from kubedoctor.host.nft_machine import run_rule
from kubedoctor.host.nft_sets import LoadedSet
from kubedoctor.host.nftables import (
    Element,
    NftSet,
    called,
    chains,
    elements,
    parse_chains,
    parse_elements,
    parse_rules,
    parse_sets,
    rules,
    sets,
    tables,
    user_comment,
)
from kubedoctor.host.rules import TCP, UDP, Connection, Holds, Outcome, Verdict

NETFILTER, GET_CHAIN, GET_RULE, GET_SET, GET_ELEMENTS = 12, *(10 << 8 | kind for kind in (4, 7, 10, 13))
EVERYTHING = b"\0\0\0\0"


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    needs("nft", "iptables-nft-restore")
    with network() as one:
        one.run("iptables-nft-restore", stdin=KUBE_PROXY)
        one.run("nft", "-f", "-", stdin=KUBE_PROXY_NFTABLES)
        yield one


@pytest.fixture(scope="module")
def dumps(made: Network) -> list[bytes]:
    return [made.dump(NETFILTER, kind, EVERYTHING) for kind in (GET_CHAIN, GET_RULE, GET_SET)]


def connection(address: str = "10.0.0.1", port: int = 443, protocol: int = TCP, *, local: bool = False) -> Connection:
    return Connection(destination=ipaddress.ip_address(address), port=port, protocol=protocol, local=local)


@dataclass
class Table:
    """A table of rules given as nft takes them, and what each does with a connection."""

    made: Network
    sets: dict[str, NftSet] = field(default_factory=dict)

    def load(self, *lines: str, more: str = "", family: str = "ip") -> None:
        with contextlib.suppress(AssertionError):
            self.made.run("nft", "delete", "table", family, "t")
        body = "\n".join(lines)
        chains = f"chain x {{ drop; }}\nchain y {{ drop; }}\nchain c {{\n{body}\n}}"
        self.made.run("nft", "-f", "-", stdin=f"table {family} t {{\n{more}\n{chains}\n}}\n")
        prepare([self.made.net])
        self.sets = sets(family, "t", net=self.made.net)
        self.family = family

    def lookup(self, name: str) -> LoadedSet:
        return LoadedSet(self.sets[name], elements(self.family, "t", name, net=self.made.net))

    def outcomes(self, to: Connection) -> list[Outcome | None]:
        data = rules(self.family, "t", "c", net=self.made.net)
        return [run_rule(words, user, to, self.lookup) for words, user in parse_rules(data, "t", "c")]

    def holds(self, to: Connection) -> list[str]:
        found = self.outcomes(to)
        return ["no" if one is None else one.effects[0].holds.name.lower() for one in found]


@pytest.fixture
def table() -> Iterator[Table]:
    needs("nft")
    with network() as one:
        yield Table(one)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_tables_chains_and_sets_are_told_by_name(made: Network) -> None:
    prepare([made.net])
    assert tables(net=made.net) == (("ip", "nat"), ("ip", "filter"), ("ip", "kube-proxy"))
    by_name = {(one.table, one.name): one for one in chains(net=made.net)}
    base = by_name["kube-proxy", "nat-output"]
    assert (base.hook, base.type, base.priority, base.policy, base.uses) == ("output", "nat", -100, "accept", 1)
    assert by_name["filter", "FORWARD"].policy == "drop"
    assert by_name["nat", "KUBE-PROXY-CANARY"].uses == 0
    found = sets("ip", "kube-proxy", net=made.net)
    assert found["service-ips"] == NftSet(width=12, intervals=False, is_map=True)
    assert found["cluster-ips"] == NftSet(width=4, intervals=False, is_map=False)


def test_a_kernel_without_nf_tables_has_no_tables(made: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare([made.net])
    monkeypatch.setattr(
        nftables, "_SUBSYSTEM", 99 << 8
    )  # what no kernel has is refused like what one was built without
    assert tables(net=made.net) == ()


def test_only_the_rules_of_the_chain_are_read_whatever_the_kernel_tells(made: Network, dumps: list[bytes]) -> None:
    prepare([made.net])
    asked = list(parse_rules(rules("ip", "nat", "KUBE-SERVICES", net=made.net), "nat", "KUBE-SERVICES"))
    assert len(asked) == 3
    assert list(parse_rules(dumps[1], "nat", "KUBE-SERVICES")) == asked
    assert list(parse_rules(dumps[1], "nat", "no-such-chain")) == []


def test_rules_for_other_destinations_are_passed_over_and_no_others(made: Network) -> None:
    prepare([made.net])
    data = rules("ip", "nat", "KUBE-SERVICES", net=made.net)
    every = list(parse_rules(data, "nat", "KUBE-SERVICES"))
    for number, address in enumerate(("10.0.0.1", "10.0.0.31")):
        to = ipaddress.ip_address(address).packed
        assert list(parse_rules(data, "nat", "KUBE-SERVICES", to=to)) == [every[number], every[2]]
    assert list(parse_rules(data, "nat", "KUBE-SERVICES", to=bytes(16))) == every


def test_a_rule_names_the_chains_it_leads_to(made: Network) -> None:
    prepare([made.net])
    data = rules("ip", "nat", "OUTPUT", net=made.net)
    assert [called(words) for words, _ in parse_rules(data, "nat", "OUTPUT")] == [["KUBE-SERVICES"]]


def test_elements_are_found_by_their_key_and_only_by_the_whole_of_it(made: Network) -> None:
    prepare([made.net])
    data = elements("ip", "kube-proxy", "service-ips", net=made.net)
    key = ipaddress.ip_address("10.0.0.1").packed + bytes([TCP, 0, 0, 0]) + (443).to_bytes(2, "big") + b"\0\0"
    (found,) = parse_elements(data, key)
    assert (found.verdict, found.chain) == ("goto", "service-2QRHZV4L-default/kubernetes/tcp/https")
    assert list(parse_elements(data, key[:4])) == []
    assert {one.chain for one in parse_elements(data)} == {found.chain, "service-B372WZYI-default/two/tcp/"}
    (refused,) = parse_elements(elements("ip", "kube-proxy", "no-endpoint-services", net=made.net))
    assert (refused.chain, refused.comment) == ("reject-chain", "default/nothing")


def test_user_data_holds_a_comment_among_other_things() -> None:
    assert user_comment(b"\0\x03ab\0") == "ab"
    assert user_comment(b"\1\2xx\0\x03ab\0") == "ab"
    assert user_comment(b"\1\2xx") == user_comment(b"\0") == user_comment(b"") == ""


# --- running ----------------------------------------------------------------------------------------------------------

WELL = (
    "tcp dport 443",
    "tcp dport != 80",
    "tcp dport 440-450",
    "tcp dport { 80, 443 }",
    "tcp dport { 80, 440-450 }",
    "ip daddr 10.0.0.1",
    "ip daddr 10.0.0.0/8",
    "ip daddr 10.0.0.0/13",
    "ip daddr != 10.0.0.2",
    "ip daddr { 10.0.0.0/30, 10.9.0.0/16 }",
    "ip daddr 10.0.0.0-10.0.0.9",
    "ip daddr . tcp dport { 10.0.0.1 . 443, 10.0.0.2 . 80 }",
    "ip daddr . tcp dport { 10.0.0.0/24 . 400-500 }",
    "ip protocol tcp",
    "meta l4proto { tcp, udp }",
    "meta protocol ip",
    "meta nfproto ipv4",
    "ct state new",
    "ct state { new, established }",
    "ct state != established",
    "fib daddr type unicast",
    "fib daddr type != local",
    "counter",
    "ip daddr & 255.255.0.0 == 10.0.0.0",
)
ILL = (
    "udp dport 443",
    "tcp dport 80",
    "tcp dport != 443",
    "tcp dport 444-450",
    "tcp dport { 80, 444 }",
    "tcp dport != { 80, 440-450 }",
    "ip daddr 10.0.0.2",
    "ip daddr != 10.0.0.0/8",
    "ip daddr { 10.0.0.2, 10.0.0.8/29 }",
    "ip daddr 10.0.0.2-10.0.0.9",
    "ip daddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 443 }",
    "ip daddr . tcp dport { 10.0.0.0/24 . 500-600 }",
    "ip protocol udp",
    "ct state established",
    "ct state { related, established }",
    "fib daddr type local",
    "ip daddr & 255.255.0.0 == 10.1.0.0",
)
OPEN = (
    "ip saddr 10.1.0.0/16",
    "tcp sport 80",
    "iifname eth0",
    "meta mark 0x4000",
    "meta skuid 0",
    "limit rate 1/second",
    "ip saddr . ip daddr { 10.1.0.1 . 10.0.0.1 }",
    "ct status dnat",
    "fib saddr type local",
)
BY_LOT = ("numgen random mod 2 0", "numgen inc mod 3 != 1", "jhash ip saddr mod 2 1")


def test_what_holds_of_a_connection_what_does_not_and_what_is_open(table: Table) -> None:
    to = connection()
    for lines, expected in ((WELL, "yes"), (ILL, "no"), (OPEN, "maybe"), (BY_LOT, "share")):
        table.load(*(f"{line} accept" for line in lines), family="inet")
        assert dict(zip(lines, table.holds(to), strict=True)) == dict.fromkeys(lines, expected)


def test_rules_of_ipv6_and_of_both(table: Table) -> None:
    lines = ("ip6 daddr fd00::1", "ip6 daddr fd00::/17", "tcp dport 443", "ip6 nexthdr tcp", "meta nfproto ipv6")
    table.load(*(f"{line} accept" for line in lines), "ip daddr 10.0.0.1 accept", family="inet")
    assert table.holds(connection("fd00::1")) == ["yes"] * 5 + ["no"]
    assert table.holds(connection("10.0.0.1")) == ["no", "no", "yes", "no", "no", "yes"]


def test_a_local_address_is_told_by_its_type(table: Table) -> None:
    table.load("fib daddr type local accept", "fib daddr . iif type local accept")
    assert table.holds(connection(local=True))[0] == "yes"


@pytest.mark.parametrize(
    ("line", "verdict", "address", "port"),
    [
        ("meta l4proto tcp dnat to 1.2.3.4:6443", Verdict.DNAT, "1.2.3.4", 6443),
        ("dnat to 1.2.3.4", Verdict.DNAT, "1.2.3.4", 0),
        ("meta l4proto tcp redirect to :8080", Verdict.REDIRECT, "", 8080),
        ("redirect", Verdict.REDIRECT, "", 0),
        ("tcp dport 443 dnat to ip daddr map { 10.0.0.1 : 1.2.3.5, 10.0.0.2 : 1.2.3.6 }", Verdict.DNAT, "1.2.3.5", 0),
        ("drop", Verdict.DROP, "", 0),
        ("return", Verdict.RETURN, "", 0),
    ],
)
def test_what_a_rule_does_is_read_with_where_it_leads(
    table: Table, line: str, verdict: Verdict, address: str, port: int
) -> None:
    table.load(line, more="chain nat { type nat hook output priority -100; jump c; }")
    (outcome,) = table.outcomes(connection())
    assert outcome is not None
    (effect,) = outcome.effects
    assert (effect.verdict, effect.holds, effect.address, effect.port) == (verdict, Holds.YES, address, port)


def test_maps_of_verdicts_lead_by_key_by_lot_or_to_any_of_them(table: Table) -> None:
    table.load(
        "tcp dport vmap { 443 : jump x, 80 : goto y }",
        "tcp dport vmap { 80 : goto y }",
        "numgen random mod 2 vmap { 0 : jump x, 1 : goto y }",
        "ip saddr vmap { 10.1.0.1 : jump x, 10.1.0.2 : drop }",
        "udp dport vmap { 443 : drop }",
    )
    first, second, third, fourth, fifth = table.outcomes(connection())
    assert second is fifth is None
    assert first is not None
    assert [(one.verdict, one.chain, one.holds) for one in first.effects] == [(Verdict.JUMP, "x", Holds.YES)]
    assert third is not None
    assert third.exhaustive
    assert {(one.verdict.value, one.chain) for one in third.effects} == {("jump", "x"), ("goto", "y")}
    assert {one.holds for one in third.effects} == {Holds.SHARE}
    assert fourth is not None
    assert not fourth.exhaustive
    assert {one.holds for one in fourth.effects} == {Holds.MAYBE}


def test_each_address_of_a_map_that_is_chosen_from_by_lot_is_told(table: Table) -> None:
    table.load(
        "meta l4proto tcp dnat ip addr . port to numgen inc mod 2 map { 0 : 1.1.1.1 . 80, 1 : 1.1.1.2 . 81 }",
        more="chain nat { type nat hook output priority -100; jump c; }",
    )
    (outcome,) = table.outcomes(connection())
    assert outcome is not None
    assert {(one.address, one.port, one.holds) for one in outcome.effects} == {
        ("1.1.1.1", 80, Holds.SHARE),
        ("1.1.1.2", 81, Holds.SHARE),
    }


def test_a_comment_of_nft_is_kept(table: Table) -> None:
    table.load('tcp dport 443 drop comment "no way"')
    (outcome,) = table.outcomes(connection())
    assert outcome is not None
    assert outcome.effects[0].comment == "no way"


@given(
    ranges=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted), max_size=5),
    wanted=st.integers(0, 255),
)
def test_a_key_is_in_a_set_of_intervals_when_it_is_in_one_of_them(ranges: list[Sequence[int]], wanted: int) -> None:
    covered = {number for low, high in ranges for number in range(low, high + 1)}
    ends = []
    for number in range(256):
        if number in covered and number - 1 not in covered:
            ends.append(Element(bytes([number])))
        if number not in covered and number - 1 in covered:
            ends.append(Element(bytes([number]), ends_range=True))
    loaded = LoadedSet(NftSet(1, intervals=True, is_map=False), b"")
    loaded.__dict__["_elements"] = tuple(ends)
    assert (loaded.find(bytes([wanted])) is not None) == (wanted in covered)


def test_what_catches_all_catches_what_no_other_element_does(table: Table) -> None:
    try:
        table.load("tcp dport vmap { 80 : jump x, * : goto y }", "tcp dport vmap { 0-100 : jump x, * : goto y }")
    except AssertionError:
        pytest.skip("this nft does not know it")
    for outcome in table.outcomes(connection()):
        assert outcome is not None
        assert [one.chain for one in outcome.effects] == ["y"]


# --- hostile bytes ----------------------------------------------------------------------------------------------------


class NoSets:
    """Sets that nothing is in."""

    width = 4

    def find(self, _key: bytes) -> None:
        return None

    def all(self) -> tuple[Element, ...]:
        return ()


@given(change=st.data(), to=st.sampled_from(("10.0.0.1", "fd00::1")), protocol=st.sampled_from((TCP, UDP)))
def test_what_is_spoilt_is_read_or_refused(dumps: list[bytes], change: st.DataObject, to: str, protocol: int) -> None:
    all_chains, all_rules, all_sets = (change.draw(spoilt(data)) for data in dumps)
    for parse, data in ((parse_chains, all_chains), (parse_sets, all_sets)):
        with contextlib.suppress(Malformed):
            parse(data)
    for chain in ("KUBE-SERVICES", "KUBE-SEP-54LTP6ONNIIODHJP", "services"):
        with contextlib.suppress(Malformed):
            for words, user_data in parse_rules(all_rules, "kube-proxy" if chain == "services" else "nat", chain):
                called(words)
                run_rule(words, user_data, connection(to, protocol=protocol), lambda _: NoSets())


@given(words=st.lists(st.binary(max_size=40), max_size=4), user_data=st.binary(max_size=20))
def test_any_expressions_are_run_or_refused(words: list[bytes], user_data: bytes) -> None:
    with contextlib.suppress(Malformed):
        run_rule(words, user_data, connection(), lambda _: NoSets())


@pytest.fixture(scope="module")
def mapped(made: Network) -> bytes:
    prepare([made.net])
    return elements("ip", "kube-proxy", "service-ips", net=made.net)


@given(change=st.data(), intervals=st.booleans(), key=st.binary(max_size=12))
def test_spoilt_elements_are_read_or_refused(mapped: bytes, change: st.DataObject, intervals: bool, key: bytes) -> None:
    loaded = LoadedSet(NftSet(12, intervals, is_map=True), change.draw(spoilt(mapped)))
    with contextlib.suppress(Malformed):
        loaded.find(key)
        loaded.all()
