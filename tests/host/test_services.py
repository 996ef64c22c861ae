"""Where rules lead a connection: what we say against what the kernel does, nft and iptables tell, and at what cost."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator

import pytest
from support.children import as_ordinary_user
from support.networks import KUBE_PROXY, KUBE_PROXY_NFTABLES, Network, needs, network

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Denied, Malformed
from kubedoctor.host import nftables
from kubedoctor.host.agent import prepare
from kubedoctor.host.services import ServiceRules, rule_chains, service_rules

RESTORE = {"iptables-nft": "iptables-nft-restore", "iptables-legacy": "iptables-legacy-restore"}
BACKENDS = (*RESTORE, "nftables")


@pytest.fixture
def empty() -> Iterator[Network]:
    with network() as made:
        yield made


def load(made: Network, backend: str, iptables: str = KUBE_PROXY, nft: str = KUBE_PROXY_NFTABLES) -> None:
    if backend == "nftables":
        needs("nft")
        made.run("nft", "-f", "-", stdin=nft)
    else:
        needs(RESTORE[backend])
        made.run(RESTORE[backend], stdin=iptables)


def ask(made: Network, address: str, port: int, protocol: str = "tcp") -> ServiceRules:
    return made.get(service_rules, made.net, address, port, protocol)


def places(rules: ServiceRules) -> list[str]:
    return [f"{one.address}:{one.port}" for one in rules.endpoints]


# --- the rules of kube-proxy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_rules_of_a_service_lead_to_its_endpoint(empty: Network, backend: str) -> None:
    load(empty, backend)
    rules = ask(empty, "10.0.0.1", 443)
    for (way,) in (rules.arriving, rules.leaving):
        assert (way.backend, way.verdict) == (backend, "dnat")
        (endpoint,) = way.endpoints
        assert (endpoint.address, endpoint.port, endpoint.conditional) == ("198.18.0.1", 6443, False)
    assert rules.arriving[0].hook == "prerouting"
    assert rules.leaving[0].hook == "output"
    assert any("KUBE-SVC-NPX46M4PTMTKRN6Y" in one or "default/kubernetes" in one for one in rules.leaving[0].through)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_endpoints_of_a_service_are_found_that_chooses_by_lot_and_by_affinity(empty: Network, backend: str) -> None:
    load(empty, backend)
    rules = ask(empty, "10.0.0.31", 80)
    assert places(rules) == ["10.88.0.5:8080", "10.88.0.6:8080"]
    assert {one.conditional for one in rules.endpoints} == {False}
    assert [way.verdict for way in rules.leaving] == ["dnat"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_service_without_endpoints_is_refused_in_its_own_words(empty: Network, backend: str) -> None:
    load(empty, backend)
    rules = ask(empty, "10.0.0.30", 80)
    assert rules.endpoints == ()
    assert [(way.hook, way.verdict) for way in rules.arriving] == [("forward", "reject")]
    assert [(way.hook, way.verdict) for way in rules.leaving] == [("output", "reject")]
    assert rules.leaving[0].comment.startswith("default/nothing")


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_port_protocol_or_address_is_led_nowhere(empty: Network, backend: str) -> None:
    load(empty, backend)
    for question in (("10.0.0.1", 444, "tcp"), ("10.0.0.1", 443, "udp"), ("10.1.0.1", 443, "tcp")):
        rules = ask(empty, *question)
        assert rules.endpoints == ()
        assert rules.tables


def test_a_service_that_nobody_allocated_is_dropped_in_nftables_mode(empty: Network) -> None:
    load(empty, "nftables")
    (way,) = ask(empty, "10.0.0.99", 80).leaving
    assert (way.verdict, way.comment) == ("drop", "Drop traffic to unallocated ClusterIPs")


def test_without_rules_nothing_is_looked_at(empty: Network) -> None:
    assert ask(empty, "10.0.0.1", 443) == ServiceRules(address="10.0.0.1", port=443, protocol="tcp")
    assert empty.get(rule_chains, empty.net) == ()


def test_rules_for_addresses_of_the_machine_itself_are_told_by_its_addresses(empty: Network) -> None:
    load(empty, "iptables-nft")
    assert ask(empty, "198.18.0.1", 443).endpoints == ()
    empty.run("ip", "address", "add", "198.18.0.1/32", "dev", "lo")
    assert places(ask(empty, "198.18.0.1", 443)) == ["10.88.0.5:8080", "10.88.0.6:8080"]


def test_a_rule_that_stands_first_wins(empty: Network) -> None:
    load(empty, "iptables-nft")
    words = "-d 10.0.0.1/32 -p tcp --dport 443 -j DNAT --to-destination 10.244.3.7:8080"
    empty.run("iptables-nft", "-t", "nat", "-I", "OUTPUT", "1", *words.split())
    rules = ask(empty, "10.0.0.1", 443)
    (stale,) = rules.leaving[0].endpoints
    assert (stale.address, stale.port, stale.chain) == ("10.244.3.7", 8080, "OUTPUT")
    assert [one.address for one in rules.arriving[0].endpoints] == ["198.18.0.1"]


def test_a_rule_for_some_connections_does_not_hide_those_after_it(empty: Network) -> None:
    load(empty, "iptables-nft")
    words = "-i eth7 -d 10.0.0.1/32 -p tcp --dport 443 -j DNAT --to-destination 10.244.3.7:8080"
    empty.run("iptables-nft", "-t", "nat", "-I", "PREROUTING", "1", *words.split())
    (way,) = ask(empty, "10.0.0.1", 443).arriving
    assert [(one.address, one.conditional) for one in way.endpoints] == [("10.244.3.7", True), ("198.18.0.1", False)]


def test_both_iptables_are_told_since_nobody_can_say_which_comes_first(empty: Network) -> None:
    load(empty, "iptables-legacy", KUBE_PROXY.replace("198.18.0.1:6443", "10.244.3.7:8080"))
    load(empty, "iptables-nft")
    rules = ask(empty, "10.0.0.1", 443)
    assert {(way.backend, way.endpoints[0].address) for way in rules.leaving} == {
        ("iptables-nft", "198.18.0.1"),
        ("iptables-legacy", "10.244.3.7"),
    }


def test_an_earlier_priority_decides_alone(empty: Network) -> None:
    load(empty, "iptables-nft")
    first = "chain first { type nat hook output priority -101; ip daddr 10.0.0.1 tcp dport 443 dnat to 10.9.9.9:1; }"
    empty.run("nft", "-f", "-", stdin=f"table ip mine {{ {first}; }}")
    rules = ask(empty, "10.0.0.1", 443)
    assert [(way.backend, way.table) for way in rules.leaving] == [("nftables", "ip mine")]


IPV6 = """\
*nat
:OUTPUT ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SEP-A - [0:0]
-A OUTPUT -j KUBE-SERVICES
-A KUBE-SERVICES -d fd00:10::1/128 -p tcp -m tcp --dport 443 -j KUBE-SEP-A
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination [fd00:20::5]:6443
COMMIT
"""


@pytest.mark.parametrize("backend", RESTORE)
def test_services_of_ipv6_are_followed_too(empty: Network, backend: str) -> None:
    program = RESTORE[backend].replace("iptables", "ip6tables")
    needs(program)
    empty.run(program, stdin=IPV6)
    rules = ask(empty, "fd00:10::1", 443)
    assert [(one.address, one.port) for one in rules.endpoints] == [("fd00:20::5", 6443)]
    assert ask(empty, "fd00:10::2", 443).endpoints == ()


def test_what_is_no_address_or_protocol_is_refused() -> None:
    with pytest.raises(Malformed, match="`kubernetes` is not an IP address"):
        SharedLook().get(service_rules, 0, "kubernetes", 443)
    with pytest.raises(Malformed, match="`icmp` is not tcp or udp"):
        SharedLook().get(service_rules, 0, "10.0.0.1", 443, "icmp")


def test_without_the_right_it_is_said_which_one_is_missing() -> None:
    def reason() -> str:
        with pytest.raises(Denied) as denied:
            SharedLook().get(service_rules, 0, "10.0.0.1", 443)
        return denied.value.reason

    assert as_ordinary_user(reason) == "needs CAP_NET_ADMIN"


# --- tables and chains ------------------------------------------------------------------------------------------------


def test_chains_are_those_that_nft_lists(empty: Network) -> None:
    load(empty, "iptables-nft")
    load(empty, "nftables")
    empty.run(
        "nft", "-f", "-", stdin="table inet own { chain in { type filter hook input priority 5; policy drop; }; }"
    )
    listed = json.loads(empty.run("nft", "-j", "list", "chains"))["nftables"]
    theirs = {
        (one["family"], one["table"], one["name"], one.get("hook", ""), one.get("prio", 0), one.get("policy", ""))
        for entry in listed
        if (one := entry.get("chain"))
    }
    ours = {(one.family, one.table, one.name, one.hook, one.priority, one.policy) for one in chains_of(empty)}
    assert ours == theirs
    tables = {(one.backend, one.family, one.name) for one in empty.get(rule_chains, empty.net)}
    assert tables == {
        ("iptables-nft", "ip", "nat"),
        ("iptables-nft", "ip", "filter"),
        ("nftables", "ip", "kube-proxy"),
        ("nftables", "inet", "own"),
    }


def chains_of(made: Network) -> tuple[nftables.NftChain, ...]:
    prepare([made.net])
    return nftables.chains(net=made.net)


@pytest.mark.parametrize("backend", RESTORE)
def test_chains_are_those_that_iptables_saves_with_what_leads_to_them(empty: Network, backend: str) -> None:
    load(empty, backend)
    saved = empty.run(f"{backend}-save", "-t", "nat")
    names = {line[1:].split()[0] for line in saved.splitlines() if line.startswith(":")}
    (table,) = [one for one in empty.get(rule_chains, empty.net) if one.name == "nat"]
    base = {one.name: one for one in table.base_chains}
    assert base.keys() | table.chains.keys() == names
    assert base.keys() == {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
    assert base["PREROUTING"].calls == base["OUTPUT"].calls == ("KUBE-SERVICES",)
    assert (base["OUTPUT"].rules, base["INPUT"].rules, base["OUTPUT"].priority) == (1, 0, -100)
    assert table.chains["KUBE-PROXY-CANARY"] == 0
    assert table.chains["KUBE-SERVICES"] >= 3
    (filtering,) = [one for one in empty.get(rule_chains, empty.net) if one.name == "filter"]
    assert {one.name: one.policy for one in filtering.base_chains}["FORWARD"] == "drop"


def test_tables_of_iptables_legacy_that_nobody_uses_are_not_made(empty: Network) -> None:
    needs("iptables-legacy-restore")
    empty.run("iptables-legacy", "-t", "nat", "-L", "-n")
    ask(empty, "10.0.0.1", 443)
    empty.get(rule_chains, empty.net)
    assert empty.run("cat", "/proc/self/net/ip_tables_names").split() == ["nat"]


# --- against the kernel -----------------------------------------------------------------------------------------------

SERVERS = {f"10.9.9.10{number}": 9000 + number for number in range(1, 5)}
WANTED = ("10.9.9.1", "10.9.9.2", "10.9.8.1", "10.9.9.101")
PORTS = (80, 443, 5353)


def random_rules(chance: random.Random) -> str:
    """Return a NAT table in which each connection is surely led somewhere or nowhere."""
    chains = [f"C{number}" for number in range(5)]
    lines = ["*nat", ":OUTPUT ACCEPT [0:0]", *(f":{chain} - [0:0]" for chain in chains)]
    for position, chain in enumerate(("OUTPUT", *chains)):
        for _ in range(chance.randint(1, 4)):
            words = [f"-A {chain}"]
            if chance.random() < 0.6:
                network = chance.choice((*WANTED, "10.9.9.0/24", "10.9.8.0/23", "10.9.9.0/30"))
                words.append(f"{chance.choice(('', '! '))}-d {network}")
            protocol = chance.choice(("tcp", "udp", "udp", ""))
            if protocol:
                words.append(f"-p {protocol}")
                words += chance.choice(
                    (
                        [],
                        [f"-m {protocol} --dport {chance.choice(PORTS)}"],
                        [f"-m {protocol} ! --dport 80:443"],
                        ["-m multiport --dports 80,443"],
                        ["-m multiport ! --dports 80:443,9999"],
                    )
                )
            words += chance.choice(
                (
                    [],
                    [],
                    [],
                    ["-m addrtype --dst-type LOCAL"],
                    ["-m addrtype ! --dst-type LOCAL"],
                    ["-m conntrack --ctstate NEW"],
                    ["-m conntrack ! --ctstate RELATED,ESTABLISHED"],
                    ["-m conntrack --ctstate INVALID,ESTABLISHED"],
                    ['-m comment --comment "some words"'],
                )
            )
            address, port = chance.choice(list(SERVERS.items()))
            actions = [chance.choice(("-j RETURN", "-j ACCEPT", "-j MARK --set-xmark 0x1/0x1", ""))]
            actions += [f"-{chance.choice('jg')} {lower}" for lower in chains[position:][:2]]
            if protocol:
                actions += [f"-j DNAT --to-destination {address}:{port}", f"-j REDIRECT --to-ports {port}"] * 2
            lines.append(" ".join([*words, chance.choice(actions)]).strip())
    return "\n".join([*lines, "COMMIT", ""])


PROBE = """
import json, select, socket, sys
servers, wanted, ports, first = json.loads(sys.argv[1])
listening = {}
for address, port in [*servers.items(), *(("127.0.0.1", port) for port in servers.values())]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        server = socket.socket(type=kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(50)
        listening[server] = f"{address}:{port}"
seen = {}
for address in wanted:
    for port in ports:
        for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
            client = socket.socket(type=kind)
            client.setblocking(False)
            client.bind(("0.0.0.0", first))
            first += 1
            if name == "tcp":
                client.connect_ex((address, port))
            else:
                client.sendto(b"x", (address, port))
            found = []
            for patience in (0.0, 0.01):
                found = found or select.select(list(listening), [], [], patience)[0]
            for server in found:
                seen[f"{name} {address} {port}"] = listening[server]
                server.accept()[0].close() if name == "tcp" else server.recv(9)
            client.close()
print(json.dumps(seen))
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_random_rules_lead_where_the_kernel_leads_them(backend: str) -> None:
    needs("iptables-nft-restore", "iptables-restore-translate")
    chance = random.Random(backend)
    with network(
        "ip link add d0 type bridge",
        "ip address add 10.9.9.200/23 dev d0",
        *(f"ip address add {address}/32 dev d0" for address in SERVERS),
        "ip link set d0 up",
    ) as made:
        led = 0
        for number in range(12):
            text = random_rules(chance)
            load_random(made, backend, text)
            said = {}
            for address in WANTED:
                for port in PORTS:
                    for protocol in ("tcp", "udp"):
                        ways = ask(made, address, port, protocol).leaving
                        for one in ways[0].endpoints if ways else ():
                            assert not one.conditional, text
                            said[f"{protocol} {address} {port}"] = f"{one.address or '127.0.0.1'}:{one.port}"
            question = json.dumps([SERVERS, WANTED, PORTS, 10000 + number * 100])
            assert said == json.loads(made.python(PROBE, question)), text
            led += len(said)
    assert led > 50, "too few of the rules lead anywhere to prove much"


def load_random(made: Network, backend: str, text: str) -> None:
    if backend == "nftables":
        made.run("nft", "flush", "ruleset")
        translated = made.run("iptables-restore-translate", "-f", "/dev/stdin", stdin=text)
        assert "# -" not in translated, translated
        made.run("nft", "-f", "-", stdin=translated.replace("ip nat", "ip own"))
    else:
        made.run(RESTORE[backend], stdin=text)


# --- cost -------------------------------------------------------------------------------------------------------------


def many_services(count: int) -> str:
    """Return four rules and two chains for each service, as kube-proxy makes them."""
    chains = [":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":KUBE-SERVICES - [0:0]", ":KUBE-MARK-MASQ - [0:0]"]
    rules = ["-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES"]
    for number in range(count):
        service, pod = (f"10.{network}.{number // 256}.{number % 256}" for network in (100, 200))
        name = f"{number:016d}"
        comment = f'-m comment --comment "ns/service-{number}"'
        chains += [f":KUBE-SVC-{name} - [0:0]", f":KUBE-SEP-{name} - [0:0]"]
        rules += [
            f"-A KUBE-SERVICES -d {service}/32 -p tcp {comment} -m tcp --dport 443 -j KUBE-SVC-{name}",
            f"-A KUBE-SVC-{name} {comment} -j KUBE-SEP-{name}",
            f"-A KUBE-SEP-{name} -s {pod}/32 {comment} -j KUBE-MARK-MASQ",
            f"-A KUBE-SEP-{name} -p tcp {comment} -m tcp -j DNAT --to-destination {pod}:6443",
        ]
    return "\n".join(["*nat", *chains, *rules, "COMMIT", ""])


@pytest.mark.root
@pytest.mark.parametrize("backend", RESTORE)
def test_twenty_thousand_rules_cost_a_fraction_of_a_second(backend: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: netlink takes no more than 200 KiB at once from others")
    needs(RESTORE[backend])
    with network(as_root=True) as made:
        made.run(RESTORE[backend], stdin=many_services(5000))
        begin = time.process_time()
        rules = ask(made, "10.100.19.135", 443)
        tables = made.get(rule_chains, made.net)
        spent = time.process_time() - begin
    assert places(rules) == ["10.200.19.135:6443"]
    assert sum(len(one.chains) for one in tables) == 10_002
    assert spent < 1.5, f"{spent:.2f} s; it takes 0.3 on a small virtual machine"
