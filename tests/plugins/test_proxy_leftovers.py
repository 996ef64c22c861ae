"""When rules of an earlier kube-proxy are told, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubedoctor_proxy.facts import ProxySettings, settings
from kubedoctor_proxy.leftovers import leftover_rules

from kubedoctor import Denied, Instance, Malformed, Target, TargetKind, host
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import run_check

NET = 4000
PROXY = Instance(name="kube-proxy", source="process 20", pid=20, net=NET, argv=("kube-proxy", "--config=/proxy.yaml"))
KUBELET = Instance(name="kubelet", source="process 30", pid=30, net=NET, argv=("kubelet",))
MODE = "http://127.0.0.1:10249/proxyMode"
LO = host.Link(name="lo", index=1)


def iptables(backend: str, chain: str = "KUBE-SERVICES", count: int = 5, *, called: bool = True) -> host.RuleTable:
    base = tuple(
        host.BaseChain(name=hook.upper(), hook=hook, type="nat", rules=1, calls=(chain,) if called else ())
        for hook in ("prerouting", "output")
    )
    return host.RuleTable(backend=backend, family="ip", name="nat", base_chains=base, chains={chain: count})


def mark(backend: str) -> host.RuleTable:
    return host.RuleTable(backend=backend, family="ip", name="mangle", chains={"KUBE-KUBELET-CANARY": 0})


NFTABLES = host.RuleTable(
    backend="nftables",
    family="ip",
    name="kube-proxy",
    base_chains=(host.BaseChain(name="nat-output", hook="output", type="nat", rules=1),),
    chains={"services": 4},
)
NFT, LEGACY = iptables("iptables-nft"), iptables("iptables-legacy")


def beside(
    *tables: host.RuleTable,
    mode: str = "iptables",
    instances: tuple[Instance, ...] = (PROXY, KUBELET),
    links: tuple[host.Link, ...] = (LO,),
) -> Result:
    target = Target(id="a", kind=TargetKind.KUBEADM, title="a cluster", instances=instances)
    facts = {
        (host.rule_chains, NET): tables,
        (host.links, NET): links,
        (settings, "/proxy.yaml", 0): ProxySettings(mode=mode),
        (host.health, MODE, NET): host.Health(status=200, text=mode),
    }
    return run_check(leftover_rules, target, facts=facts)


def subjects(result: Result) -> list[str]:
    return [finding.subject for finding in result.findings]


@pytest.mark.parametrize(("mode", "table"), [("iptables", NFT), ("iptables", LEGACY), ("nftables", NFTABLES)])
def test_the_rules_of_the_kube_proxy_that_runs_are_its_own(mode: str, table: host.RuleTable) -> None:
    assert beside(table, mode=mode).outcome == "passed"


def test_rules_of_another_mode_are_told_with_how_to_remove_them() -> None:
    (finding,) = beside(NFT, NFTABLES, mode="nftables").findings
    assert finding.message == (
        "kube-proxy works in nftables mode, and rules of one in another mode are left in iptables-nft: "
        "KUBE-SERVICES in ip nat"
    )
    assert finding.severity == "warning"
    assert finding.fixes[0].steps[0].argv == ("iptables-nft", "-t", "nat", "-F", "KUBE-SERVICES")
    (finding,) = beside(NFT, NFTABLES, mode="iptables").findings
    assert finding.fixes[0].steps[0].argv == ("nft", "delete", "table", "ip", "kube-proxy")


def test_rules_in_both_iptables_are_told_and_which_is_left_if_that_is_known() -> None:
    (finding,) = beside(NFT, LEGACY, mark("iptables-nft")).findings
    assert finding.message == (
        "rules of kube-proxy are in iptables-nft and in iptables-legacy, those in iptables-legacy from an earlier one"
    )
    assert finding.subject == "iptables-legacy"
    (finding,) = beside(NFT, LEGACY).findings
    assert finding.message.endswith("and only one of them is kept up")
    both = [iptables(backend, "CNI-HOSTPORT-DNAT") for backend in ("iptables-nft", "iptables-legacy")]
    (finding,) = beside(*both, mark("iptables-legacy")).findings
    assert finding.message.startswith("rules of the CNI plugin portmap are in iptables-nft and in iptables-legacy")
    assert finding.fixes[0].steps[0].argv[-1] == "CNI-HOSTPORT-DNAT"


@pytest.mark.parametrize(
    "harmless",
    [
        iptables("iptables-legacy", count=0),
        iptables("iptables-legacy", called=False),
        iptables("iptables-legacy", chain="DOCKER"),
        mark("iptables-legacy"),
    ],
)
def test_what_does_no_harm_is_not_told(harmless: host.RuleTable) -> None:
    assert beside(NFT, harmless).outcome == "passed"
    empty = iptables("iptables-nft", count=2)  # what is counted are the two jumps to it
    assert beside(empty, LEGACY).outcome == "passed"


def test_rules_beside_another_proxy_are_told() -> None:
    cilium = (LO, host.Link(name="cilium_host", index=2))
    result = beside(LEGACY, instances=(KUBELET,), links=cilium)
    assert result.findings[0].message.startswith(
        "Cilium makes the services here, and rules of a kube-proxy are left in"
    )


def machine(*tables: host.RuleTable | Denied, running: str = "bash") -> Result:
    planned = Instance(name="kube-apiserver", source="what `up` would start", planned=True)
    target = Target(id="machine", kind=TargetKind.MACHINE, title="this machine", instances=(planned,))
    process = host.Process(
        pid=5, parent=1, name=running, state="S", start_ticks=1, started=0.0, uid=0, namespaces={"net": 77}
    )
    given: Any = tables[0] if tables and isinstance(tables[0], Denied) else tables
    facts = {host.our_namespaces: {"net": 77}, host.processes: (process,), (host.rule_chains, 0): given}
    return run_check(leftover_rules, target, facts=facts)


def test_a_machine_without_a_cluster_has_no_use_for_any_of_them() -> None:
    assert machine().outcome == "passed"
    result = machine(NFT, NFTABLES)
    assert subjects(result) == ["iptables-nft", "nftables"]
    assert result.findings[0].message == (
        "iptables-nft still has rules of kube-proxy, and none runs here: KUBE-SERVICES in ip nat"
    )


def test_a_machine_with_a_cluster_is_looked_at_with_the_cluster() -> None:
    result = machine(NFT, running="kubelet")
    assert (result.outcome, result.reason) == ("not-applicable", "kubelet runs here and keeps its rules")


def test_without_the_right_it_is_unknown() -> None:
    result = machine(Denied("needs CAP_NET_ADMIN"))
    assert (result.outcome, result.reason) == ("unknown", "needs CAP_NET_ADMIN")


def test_the_mode_is_what_kube_proxy_says_of_itself_before_what_it_is_told() -> None:
    assert beside(NFTABLES, mode="nftables").outcome == "passed"
    told = Instance(
        name="kube-proxy", source="process 20", pid=20, net=NET, argv=("kube-proxy", "--proxy-mode=nftables")
    )
    target = Target(id="a", kind=TargetKind.OTHER, title="a cluster", instances=(told,))
    facts = {
        (host.rule_chains, NET): (NFTABLES,),
        (host.links, NET): (LO,),
        (host.health, MODE, NET): host.Health(problem="refused"),
    }
    assert run_check(leftover_rules, target, facts=facts).outcome == "passed"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0.0.0.0:10349", "http://127.0.0.1:10349/proxyMode"),
        (":10349", "http://127.0.0.1:10349/proxyMode"),
        ("[::]:10349", "http://[::1]:10349/proxyMode"),
        ("10.1.2.3", "http://10.1.2.3:10249/proxyMode"),
    ],
)
def test_the_mode_is_asked_for_where_kube_proxy_tells_of_itself(address: str, url: str) -> None:
    target = Target(id="a", kind=TargetKind.KUBEADM, title="a cluster", instances=(PROXY,))
    facts = {
        (host.rule_chains, NET): (NFTABLES,),
        (host.links, NET): (LO,),
        (settings, "/proxy.yaml", 0): ProxySettings(metrics_address=address),
        (host.health, url, NET): host.Health(status=200, text="nftables"),
    }
    assert run_check(leftover_rules, target, facts=facts).outcome == "passed"


def test_settings_are_read_from_the_file_that_kube_proxy_was_given(tmp_path: Path) -> None:
    path = tmp_path / "config.conf"
    path.write_text("mode: nftables\nmetricsBindAddress: 127.0.0.1:10349\nhealthzBindAddress: null\n")
    assert SharedLook().get(settings, str(path), 0) == ProxySettings(mode="nftables", metrics_address="127.0.0.1:10349")
    path.write_text("[1, 2]")
    assert SharedLook().get(settings, str(path), 0) == ProxySettings()
    path.write_bytes(b"\xff\xfe: [")
    with pytest.raises(Malformed):
        SharedLook().get(settings, str(path), 0)
