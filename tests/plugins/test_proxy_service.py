"""What is said of the service `kubernetes`, for every way in which its rules can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from kubedoctor_proxy.service import kubernetes_service_missing

from kubedoctor import Denied, Instance, Target, TargetKind, host
from kubedoctor.doctor.documents import Result
from kubedoctor.testing import run_check

NET = 4000
NOW = 10_000.0
API = Instance(
    name="kube-apiserver",
    source="process 10",
    pid=10,
    net=NET,
    argv=("kube-apiserver", "--service-cluster-ip-range=10.0.0.0/24", "--advertise-address=198.18.0.1"),
)
PROXY = Instance(name="kube-proxy", source="process 20", pid=20, net=NET, argv=("kube-proxy",), log="/var/log/proxy")
KUBELET = Instance(name="kubelet", source="process 30", pid=30, net=NET, argv=("kubelet",))
LINKS = (host.Link(name="lo", index=1), host.Link(name="cni0", index=2))
WELL = "https://198.18.0.1:6443/livez"
MADE = "http://127.0.0.1:10256/healthz"
STALE = "https://10.244.3.7:8080/livez"


def led(
    *endpoints: tuple[str, int], hook: str = "output", backend: str = "iptables-nft", chain: str = "KUBE-SEP-A"
) -> host.Way:
    found = tuple(host.Leading(address=address, port=port, chain=chain) for address, port in endpoints)
    base = hook.upper()
    return host.Way(
        backend=backend, table="ip nat", hook=hook, chain=base, priority=-100, endpoints=found, verdict="dnat"
    )


def rules(arriving: tuple[host.Way, ...] = (), leaving: tuple[host.Way, ...] = ()) -> host.ServiceRules:
    return host.ServiceRules(
        address="10.0.0.1",
        port=443,
        protocol="tcp",
        arriving=arriving,
        leaving=leaving,
        tables=("iptables-nft ip nat",),
    )


def both(*endpoints: tuple[str, int], **more: Any) -> host.ServiceRules:
    return rules((led(*endpoints, hook="prerouting", **more),), (led(*endpoints, **more),))


CHAINS = host.RuleTable(backend="iptables-nft", family="ip", name="nat", chains={"KUBE-SERVICES": 0})


def checked(
    found: host.ServiceRules | Denied,
    *instances: Instance,
    health: Mapping[str, host.Health | Denied] | None = None,
    links: tuple[host.Link, ...] = LINKS,
    tables: tuple[host.RuleTable, ...] = (CHAINS,),
    kind: TargetKind = TargetKind.OTHER,
) -> Result:
    target = Target(
        id="a", kind=kind, title="a cluster", instances=instances or (API, PROXY, KUBELET), kubeconfig="/admin.conf"
    )
    answers = {WELL: host.Health(status=401), MADE: host.Health(status=503), **(health or {})}
    facts: dict[Any, Any] = {
        (host.links, NET): links,
        (host.service_rules, NET, "10.0.0.1", 443): found,
        (host.rule_chains, NET): tables,
        **{(host.health, url, NET): answer for url, answer in answers.items()},
    }
    return run_check(kubernetes_service_missing, target, facts=facts, now=NOW)


def message(result: Result) -> str:
    (finding,) = result.findings
    return finding.message


@pytest.mark.parametrize("answer", [host.Health(status=200), host.Health(status=401), Denied("it wants a certificate")])
def test_rules_that_lead_to_a_live_apiserver_are_well_whatever_it_thinks_of_us(answer: host.Health | Denied) -> None:
    assert checked(both(("198.18.0.1", 6443)), health={WELL: answer}).outcome == "passed"


def test_rules_that_are_gone_are_told_from_rules_that_never_were() -> None:
    gone = checked(rules())
    assert message(gone) == (
        "somebody removed the rules of kube-proxy, which did not notice: no rule leads 10.0.0.1:443, the service "
        "`kubernetes`, to a kube-apiserver"
    )
    assert gone.findings[0].subject == "kubernetes 10.0.0.1:443"
    assert gone.findings[0].evidence[0].observed == "nothing for 10.0.0.1:443 in iptables-nft ip nat"
    assert message(checked(rules(), tables=())).startswith("kube-proxy runs, and has no rules: ")
    well = {MADE: host.Health(status=200)}
    assert message(checked(rules(), tables=(), health=well)).startswith("somebody removed the rules of kube-proxy")


def test_a_kube_proxy_that_has_just_started_is_given_its_time() -> None:
    young = Instance(name="kube-proxy", source="process 20", pid=20, net=NET, started=NOW - 3)
    (finding,) = checked(rules(), API, young, tables=()).findings
    assert finding.message.startswith("kube-proxy has made no rules yet, 3 s after its start: ")
    assert finding.severity == "warning"


def test_a_node_without_kube_proxy_has_no_services() -> None:
    assert message(checked(rules(), API, KUBELET)).startswith("kube-proxy does not run, so no service works: ")
    dead = Instance(name="kube-proxy", source="plan of cluster a", net=NET, log="/logs/kube-proxy.log")
    result = checked(rules(), API, dead, kind=TargetKind.KUBEDOCTOR)
    assert message(result).startswith("kube-proxy does not run")
    start, see = result.findings[0].fixes
    assert (start.summary, start.steps[0].component) == ("start kube-proxy", "kube-proxy")
    assert "/logs/kube-proxy.log" in see.summary


def test_the_fix_is_what_the_makers_of_the_cluster_would_do() -> None:
    (restart, _) = checked(rules(), kind=TargetKind.KUBEADM).findings[0].fixes
    assert restart.steps[0].argv == (
        *("kubectl", "--kubeconfig", "/admin.conf", "-n", "kube-system"),
        *("rollout", "restart", "daemonset/kube-proxy"),
    )
    assert checked(rules()).findings[0].fixes[0].steps == ()


def test_rules_for_pods_only_or_for_the_machine_only_are_told() -> None:
    well = led(("198.18.0.1", 6443))
    assert message(checked(rules(leaving=(well,)))).endswith("for connections from pods")
    arriving = led(("198.18.0.1", 6443), hook="prerouting")
    assert message(checked(rules(arriving=(arriving,)))).endswith("for connections from this machine")


def test_a_service_that_kube_proxy_rejects_has_no_endpoint() -> None:
    way = host.Way(
        backend="iptables-nft",
        table="ip filter",
        hook="output",
        chain="OUTPUT",
        priority=0,
        verdict="reject",
        comment="default/kubernetes:https has no endpoints",
        through=("KUBE-SERVICES",),
    )
    result = checked(rules((way,), (way,)))
    assert message(result) == (
        "connections to 10.0.0.1:443, the service `kubernetes`, are rejected (default/kubernetes:https has no "
        "endpoints): kube-proxy knows no endpoint of it"
    )
    assert "endpointslices" in result.findings[0].fixes[0].summary


def test_a_rule_of_somebody_else_that_stands_first_is_named() -> None:
    silent = host.Health(problem="10.244.3.7:8080 cannot be reached: No route to host")
    stale = both(("10.244.3.7", 8080), chain="OUTPUT")
    result = checked(stale, health={STALE: silent})
    assert message(result) == (
        "a rule in OUTPUT of ip nat (iptables-nft) leads 10.0.0.1:443, the service `kubernetes`, to 10.244.3.7:8080, "
        "where no kube-apiserver answers"
    )
    (finding,) = result.findings
    assert finding.evidence[0].expected == "to 198.18.0.1:6443"
    assert finding.evidence[1].observed == silent.problem
    assert finding.fixes[0].summary.endswith("`iptables-nft -t nat -S` shows it")


def test_stale_rules_of_kube_proxy_itself_are_its_own_fault() -> None:
    dead = host.Health(problem="refused")
    result = checked(both(("10.244.3.7", 8080)), health={STALE: dead})
    assert message(result).startswith("the rules of kube-proxy (iptables-nft) lead 10.0.0.1:443")
    assert "restart kube-proxy" in [fix.summary for fix in result.findings[0].fixes]
    ended = checked(both(("10.244.3.7", 8080)), API, KUBELET, health={STALE: dead})
    assert "start kube-proxy: the rules are those of one that has ended" in [
        fix.summary for fix in ended.findings[0].fixes
    ]


def test_some_endpoints_that_do_not_answer_are_a_warning() -> None:
    found = both(("198.18.0.1", 6443), ("10.244.3.7", 8080))
    (finding,) = checked(found, health={STALE: host.Health(problem="refused")}).findings
    assert finding.message.endswith("; 1 of 2 endpoints are well")
    assert finding.severity == "warning"


def test_what_answers_may_be_no_apiserver() -> None:
    (finding,) = checked(both(("10.244.3.7", 8080)), health={STALE: host.Health(status=404)}).findings
    assert finding.evidence[1].observed == "what answers is no kube-apiserver: it has no /livez"


def test_no_more_dead_endpoints_are_tried_than_there_is_time_for() -> None:
    many = [(f"10.244.3.{number}", 8080) for number in range(1, 9)]
    dead = {f"https://{address}:{port}/livez": host.Health(problem="silent") for address, port in many[:3]}
    assert len(checked(both(*many), health=dead).findings) == 1  # a fourth would not be given


@pytest.mark.parametrize(("effective", "severity"), [(host.Health(status=401), "warning"), (None, "error")])
def test_of_two_back_ends_the_one_that_comes_first_is_found_by_trying(
    effective: host.Health | None, severity: str
) -> None:
    dead = host.Health(problem="refused")
    rival = led(("10.244.3.7", 8080), backend="iptables-legacy", chain="KUBE-SVC-OLD")
    found = rules((led(("198.18.0.1", 6443), hook="prerouting"),), (led(("198.18.0.1", 6443)), rival))
    result = checked(found, health={STALE: dead, "https://10.0.0.1:443/livez": effective or dead})
    (finding,) = result.findings
    assert finding.severity == severity
    assert finding.message.startswith("rules in iptables-legacy lead 10.0.0.1:443")
    assert ("iptables-nft come first" in finding.message) == (severity == "warning")


def test_what_a_rule_leads_to_for_some_connections_only_is_not_judged() -> None:
    endpoints = (
        host.Leading(address="10.244.3.7", port=8080, chain="OUTPUT", conditional=True),
        host.Leading(address="198.18.0.1", port=6443, chain="KUBE-SEP-A"),
    )
    way = host.Way(
        backend="iptables-nft", table="ip nat", hook="output", chain="OUTPUT", priority=-100, endpoints=endpoints
    )
    assert checked(rules((way,), (way,))).outcome == "passed"


def test_services_that_others_make_are_theirs() -> None:
    cilium = checked(rules(), API, KUBELET, links=(*LINKS, host.Link(name="cilium_host", index=3)))
    assert (cilium.outcome, cilium.reason) == (
        "not-applicable",
        "services are made by Cilium, not by packet filter rules",
    )
    ipvs = checked(rules(), links=(*LINKS, host.Link(name="kube-ipvs0", index=3)))
    assert (ipvs.outcome, ipvs.reason) == ("unknown", "services are in the tables of IPVS, which are not read")


def test_without_the_right_it_is_unknown() -> None:
    result = checked(Denied("needs CAP_NET_ADMIN"))
    assert (result.outcome, result.reason) == ("unknown", "needs CAP_NET_ADMIN")


def test_without_a_node_or_an_address_there_is_nothing_to_look_at() -> None:
    assert checked(rules(), API).outcome == "not-applicable"
    assert checked(rules(), KUBELET).outcome == "unknown"
    planned = Instance(name="kube-proxy", source="what `up` would start", planned=True)
    assert checked(rules(), planned).outcome == "not-applicable"


def test_on_a_worker_the_address_comes_from_the_environment_of_a_pod() -> None:
    proxy = Instance(
        name="kube-proxy",
        source="process 20",
        pid=20,
        net=NET,
        environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    )
    assert checked(both(("198.18.0.1", 6443)), proxy).outcome == "passed"
