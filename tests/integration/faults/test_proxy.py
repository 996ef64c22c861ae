"""What is found when the rules of services are gone or wrong: those of a real kube-proxy, in each of its back ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.clusters import commands, eventually, kubectl
from support.command import Kubedoctor
from support.faults import Seen, examined
from support.networks import needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CHECKS = ("proxy", "network")
SERVICE = "proxy.kubernetes-service-missing"
LEFT = "proxy.leftover-rules"
CONTROL_PLANE = ("--node", "--only", "etcd,kube-apiserver")
WITH_PROXY = ("--node", "--only", "etcd,kube-apiserver,kube-proxy")
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "local"},
    "status": {"addresses": [{"type": "InternalIP", "address": "198.18.0.1"}]},
}
BACKENDS = ("iptables-nft", "iptables-legacy", "nftables")


@contextlib.contextmanager
def cluster(directory: Path, binaries: Mapping[str, Path], backend: str) -> Iterator[Kubedoctor]:
    """Yield a cluster of etcd, kube-apiserver and kube-proxy, which is all that it takes to make a service work."""
    mode = "nftables" if backend == "nftables" else "iptables"
    with commands(directory, binaries, KUBE_PROXY_MODE=mode) as cli:
        cli.ok("up", *CONTROL_PLANE)
        assert kubectl(cli, "create", "-f", "-", stdin=NODE).status == 0  # kube-proxy waits for it
        if backend == "iptables-legacy":
            use_legacy(cli)
        cli.ok("up", *WITH_PROXY)
        yield cli


def use_legacy(cli: Kubedoctor) -> None:
    """Give what runs in the sandbox another iptables: one program is all of them, by the name it is called by."""
    legacy, nft = (os.path.realpath(f"/usr/sbin/{name}") for name in ("iptables-legacy", "iptables-nft"))
    shutil.copy(nft, cli.home.parent)
    cli.ok("enter", "mount", "--bind", legacy, nft)


def program(cli: Kubedoctor, name: str, *words: str, stdin: str = "") -> None:
    """Run `iptables-nft` or `iptables-legacy` inside, whichever of them has been put in the place of the other."""
    path = Path(f"/usr/sbin/{name}").resolve()
    kept = cli.home.parent / path.name
    done = cli("enter", str(kept if kept.exists() else path), *words, stdin=stdin)
    assert done.status == 0, done.err


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if os.geteuid() != 0 and request.param == "iptables-legacy":
        pytest.skip("needs root: its lock is a file of root's")
    return str(request.param)


@pytest.fixture(scope="module")
def cli(
    tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path], backend: str
) -> Iterator[Kubedoctor]:
    needs("iptables", "nft")
    with cluster(tmp_path_factory.mktemp("proxy"), node_binaries, backend) as made:
        yield made


@pytest.fixture(autouse=True)
def whole(cli: Kubedoctor) -> Iterator[None]:
    """Have kube-proxy make its rules again after each test."""
    yield
    cli.ok("restart", "kube-proxy")
    assert eventually(lambda: examined(cli, SERVICE).findings(SERVICE) == [])


def flush(cli: Kubedoctor, backend: str) -> None:
    """Do what a firewall script does that wants to begin anew."""
    if backend == "nftables":
        for family in ("ip", "ip6"):
            cli.ok("enter", "nft", "delete", "table", family, "kube-proxy")
    else:
        cli.ok("enter", "iptables", "-t", "nat", "-F")


def seen(cli: Kubedoctor, *, fixture: str = "") -> Seen:
    return examined(cli, *CHECKS, fixture=fixture)


def test_nothing_is_found_where_the_service_works(cli: Kubedoctor, backend: str) -> None:
    found = seen(cli)
    assert found.findings() == []
    assert found.blind() == {}
    assert found.outcome(SERVICE, "local") == "passed"
    assert found.outcome(LEFT, "local") == "passed"
    assert found.outcome("network.no-default-route", "local") == "passed"


def test_rules_that_somebody_flushed_are_missed_though_kube_proxy_is_well(cli: Kubedoctor, backend: str) -> None:
    flush(cli, backend)
    found = seen(cli, fixture=f"{SERVICE}.flushed-{backend}")
    message = found.message(SERVICE)
    assert message.endswith("no rule leads 10.0.0.1:443, the service `kubernetes`, to a kube-apiserver")
    assert message.startswith("somebody removed the rules of kube-proxy, which did not notice")
    assert found.failed() == {SERVICE}
    (finding,) = found.findings(SERVICE)
    assert finding["fixes"][0]["steps"][0] == {
        **finding["fixes"][0]["steps"][0],
        "kind": "restart-component",
        "component": "kube-proxy",
    }


def test_a_stale_rule_before_kube_proxys_is_named(cli: Kubedoctor, backend: str) -> None:
    undo: tuple[str, ...]
    if backend == "nftables":
        chain = "type nat hook output priority -101; ip daddr 10.0.0.1 tcp dport 443 dnat to 198.18.0.1:7777"
        table = f"table ip stale {{ chain first {{ {chain}; }}; }}"
        cli.ok("enter", "nft", table)
        undo = ("nft", "delete", "table", "ip", "stale")
        where = "a rule in first of ip stale (nftables)"
    else:
        rule = ("-d", "10.0.0.1/32", "-p", "tcp", "--dport", "443", "-j", "DNAT", "--to-destination", "198.18.0.1:7777")
        cli.ok("enter", "iptables", "-t", "nat", "-I", "OUTPUT", "1", *rule)
        undo = ("iptables", "-t", "nat", "-D", "OUTPUT", *rule)
        where = f"a rule in OUTPUT of ip nat ({backend})"
    try:
        found = seen(cli, fixture=f"{SERVICE}.stale-{backend}")
    finally:
        cli.ok("enter", *undo)
    assert found.message(SERVICE) == (
        f"{where} leads 10.0.0.1:443, the service `kubernetes`, to 198.18.0.1:7777, where no kube-apiserver answers"
    )
    (finding,) = found.findings(SERVICE)
    assert finding["evidence"][1]["observed"] == "198.18.0.1:7777 refused the connection"


def test_a_service_without_endpoints_is_told_as_that(cli: Kubedoctor, backend: str) -> None:
    """Take the endpoint away, which kube-apiserver puts back within ten seconds: as often as it takes to see it."""
    slices = json.loads(kubectl(cli, "get", "endpointslice", "kubernetes", "-o", "json").out)
    emptied = {**slices, "endpoints": [], "metadata": {name: slices["metadata"][name] for name in ("name", "labels")}}
    found: list[Seen] = []

    def is_found() -> bool:
        assert kubectl(cli, "replace", "-f", "-", stdin=emptied).status == 0
        found[:] = [seen(cli, fixture=f"{SERVICE}.no-endpoints-{backend}")]
        return bool(found[0].findings(SERVICE))

    assert eventually(is_found, seconds=90)
    message = found[0].message(SERVICE)
    assert "rejected (default/kubernetes" in message
    assert message.endswith("kube-proxy knows no endpoint of it")


def test_a_kube_proxy_that_is_stopped_leaves_rules_that_work_until_they_are_flushed(
    cli: Kubedoctor, backend: str
) -> None:
    cli.ok("stop", "kube-proxy")
    try:
        assert seen(cli).findings(SERVICE) == []
    finally:
        cli.ok("start", "kube-proxy")


LEFTOVER = """\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OLD - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-OLD
-A KUBE-SVC-OLD -p tcp -j DNAT --to-destination 198.18.0.1:7777
COMMIT
"""
KUBE_PROXY_TABLE = (
    "table ip kube-proxy { map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }; "
    "chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }; "
    "chain nat-output { type nat hook output priority -100; jump services; }; }"
)


def test_rules_of_an_earlier_kube_proxy_are_told_and_what_removes_them_does(cli: Kubedoctor, backend: str) -> None:
    other = {"iptables-nft": "iptables-legacy", "iptables-legacy": "iptables-nft", "nftables": "iptables-nft"}[backend]
    needs(other)
    try:
        program(cli, other, "iptables-restore", "--noflush", stdin=LEFTOVER)
        found = seen(cli, fixture=f"{LEFT}.{backend}")
        (finding,) = found.findings(LEFT)
        assert (finding["subject"], finding["severity"]) == (other, "warning")
        for wrong in found.findings(SERVICE):
            assert wrong["message"].startswith(f"rules in {other} lead 10.0.0.1:443")
        command, *words = finding["fixes"][0]["steps"][0]["argv"]
        assert command == other
        program(cli, other, "iptables", *words)
        assert seen(cli).findings() == []
    finally:
        for chain in ("PREROUTING", "OUTPUT", "KUBE-SERVICES", "KUBE-SVC-OLD"):
            program(cli, other, "iptables", "-t", "nat", "-F", chain)


def test_a_table_of_another_mode_is_told(cli: Kubedoctor, backend: str) -> None:
    if backend == "nftables":
        pytest.skip("its own mode")
    cli.ok("enter", "nft", KUBE_PROXY_TABLE)
    found = seen(cli)
    (finding,) = found.findings(LEFT)
    assert finding["message"] == (
        "kube-proxy works in iptables mode, and rules of one in another mode are left in nftables: table ip kube-proxy"
    )
    cli.ok("enter", *finding["fixes"][0]["steps"][0]["argv"])
    assert seen(cli).findings() == []
