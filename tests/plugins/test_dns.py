"""What is said of a cluster's DNS, for every place in which it can be broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kubedoctor_dns.checks import not_answering

from kubedoctor import Denied, Instance, Silent, Target, TargetKind, host
from kubedoctor.doctor.documents import Result
from kubedoctor.testing import run_check

NET, POD = 4000, 5000
NAME = "kubernetes.default.svc.cluster.local."
API = Instance(
    name="kube-apiserver",
    source="process 10",
    pid=10,
    net=NET,
    argv=("kube-apiserver", "--service-cluster-ip-range=10.0.0.0/24"),
)
KUBELET = Instance(name="kubelet", source="process 30", pid=30, net=NET, argv=("kubelet", "--cluster-dns=10.0.0.10"))
COREDNS = Instance(name="coredns", source="process 40", pid=40, net=POD, argv=("/coredns",))
ADDRESSES = (host.Address(address="198.18.0.1", network="198.18.0.1/24", link="kd0"),)
DEFAULT = (host.Route(destination="0.0.0.0/0", link="kd0"),)
RIGHT = host.DnsAnswer(code="NOERROR", addresses=("10.0.0.1",))
LISTENER = host.Listener(
    protocol="udp", address="::", port=53, inode=1, uid=0, owner=host.Owner(port=53, address="::", pid=40)
)


def ruled(*endpoints: str, verdict: str = "") -> host.ServiceRules:
    found = tuple(host.Leading(address=one, port=53, chain="KUBE-SEP-A") for one in endpoints)
    way = host.Way(
        backend="iptables-nft",
        table="ip nat",
        hook="output",
        chain="OUTPUT",
        priority=-100,
        endpoints=found,
        verdict=verdict or "dnat",
        comment="kube-system/kube-dns:dns has no endpoints" if verdict else "",
    )
    ways = (way,) if endpoints or verdict else ()
    return host.ServiceRules(
        address="10.0.0.10", port=53, protocol="udp", leaving=ways, tables=("iptables-nft ip nat",)
    )


def checked(
    *instances: Instance,
    rules: host.ServiceRules | Denied | None = None,
    answers: dict[tuple[str, int], Any] | None = None,
    **more: Any,
) -> Result:
    target = Target(id="a", kind=TargetKind.KUBEADM, title="a cluster", instances=(API, *instances))
    facts = {
        (host.addresses, NET): more.get("addresses", ADDRESSES),
        (host.links, NET): more.get("links", ()),
        (host.routes, NET): more.get("routes", DEFAULT),
        (host.listeners, POD): more.get("listeners", (LISTENER,)),
        (host.service_rules, NET, "10.0.0.10", 53, "udp"): rules or ruled("10.88.0.9"),
    }
    given = {("10.0.0.10", NET): RIGHT, ("::1", POD): RIGHT, **(answers or {})}
    facts |= {(host.dns_answer, address, NAME, net): answer for (address, net), answer in given.items()}
    return run_check(not_answering, target, facts=facts)


def message(result: Result) -> str:
    (finding,) = result.findings
    return finding.message


def test_a_dns_that_knows_the_service_kubernetes_is_well() -> None:
    assert checked(KUBELET, COREDNS).outcome == "passed"


def test_a_coredns_that_does_not_answer_is_told_from_a_service_that_does_not_lead_to_it() -> None:
    silent = Silent("nobody listens on ::1 port 53/udp")
    result = checked(KUBELET, COREDNS, answers={("::1", POD): silent})
    assert message(result) == "CoreDNS (process 40) does not answer"
    assert result.findings[0].subject == "coredns"
    assert len(checked(KUBELET, COREDNS, answers={("::1", POD): silent, ("10.0.0.10", NET): silent}).findings) == 1
    result = checked(KUBELET, COREDNS, answers={("10.0.0.10", NET): Silent("it did not answer within 1 s")})
    assert message(result) == "the cluster's DNS, 10.0.0.10, does not answer"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (host.DnsAnswer(code="NXDOMAIN"), "says NXDOMAIN to kubernetes.default.svc.cluster.local.: it does not know"),
        (host.DnsAnswer(code="SERVFAIL"), "says SERVFAIL to kubernetes.default.svc.cluster.local.: it cannot answer"),
        (host.DnsAnswer(code="code 9"), "says code 9 to kubernetes.default.svc.cluster.local.: it is not well"),
        (host.DnsAnswer(code="NOERROR"), "knows no address of kubernetes.default.svc.cluster.local."),
        (
            host.DnsAnswer(code="NOERROR", addresses=("10.96.0.1",)),
            "answers 10.96.0.1 for the service `kubernetes`, which is 10.0.0.1: it is another cluster's",
        ),
    ],
)
def test_a_wrong_answer_is_told_with_what_it_means(answer: host.DnsAnswer, words: str) -> None:
    result = checked(KUBELET, answers={("10.0.0.10", NET): answer})
    assert words in message(result)
    assert result.findings[0].subject == "DNS 10.0.0.10"
    assert result.findings[0].evidence[0].expected == "10.0.0.1"


def test_an_address_that_no_rule_leads_anywhere_is_not_asked() -> None:
    nothing = {("10.0.0.10", NET): Silent("the test did ask")}
    result = checked(KUBELET, rules=ruled(), answers=nothing)
    assert message(result) == (
        "no rule leads the DNS address that pods are told, 10.0.0.10, anywhere: there is no such service"
    )
    result = checked(KUBELET, rules=ruled(verdict="reject"), answers=nothing)
    assert message(result) == (
        "the DNS address that pods are told, 10.0.0.10, has no endpoint: no ready pod of CoreDNS is selected"
    )
    assert "kube-system/kube-dns:dns has no endpoints" in result.findings[0].evidence[0].observed


def test_without_a_route_from_here_who_is_behind_the_rules_is_asked() -> None:
    for routes in ((), (*DEFAULT, host.Route(destination="10.0.0.0/24", kind="unreachable"))):
        result = checked(KUBELET, routes=routes, answers={("10.88.0.9", NET): host.DnsAnswer(code="REFUSED")})
        assert message(result).startswith("the cluster's DNS, 10.0.0.10, led to 10.88.0.9, says REFUSED")


def test_a_dns_on_the_node_itself_needs_no_rules() -> None:
    own = (*ADDRESSES, host.Address(address="10.0.0.10", network="10.0.0.10/32", link="nodelocaldns"))
    assert checked(KUBELET, addresses=own, rules=ruled()).outcome == "passed"


def test_where_no_rules_are_looked_at_it_is_unknown() -> None:
    cilium = checked(KUBELET, rules=ruled(), links=(host.Link(name="cilium_host", index=3),))
    assert (cilium.outcome, cilium.reason) == ("unknown", "where 10.0.0.10 leads is not in packet filter rules")
    denied = checked(KUBELET, rules=Denied("needs CAP_NET_ADMIN"))
    assert (denied.outcome, denied.reason) == ("unknown", "needs CAP_NET_ADMIN")


def test_a_coredns_that_listens_nowhere_is_found() -> None:
    assert message(checked(COREDNS, listeners=())) == "CoreDNS (process 40) listens on no UDP port"


def test_sockets_of_nobody_known_may_be_coredns() -> None:
    nobody = replace(LISTENER, owner=host.Owner(port=53, address="::"))
    assert checked(COREDNS, listeners=(nobody,)).outcome == "passed"
    result = checked(COREDNS, listeners=(replace(nobody, port=1053),))
    assert (result.outcome, result.reason) == ("unknown", "needs root to tell which sockets are CoreDNS's")


def test_a_stopped_coredns_is_the_one_thing_to_tell() -> None:
    result = checked(KUBELET, replace(COREDNS, state="T"), answers={("10.0.0.10", NET): Silent("the test did ask")})
    assert message(result) == "coredns (pid 40) is stopped, by SIGSTOP or Ctrl-Z"
    result = checked(KUBELET, replace(COREDNS, state="T"), rules=ruled(verdict="reject"))
    assert len(result.findings) == 1, "its pod is not ready any more, so the service has no endpoint"
    assert len(checked(KUBELET, replace(COREDNS, state="T"), rules=ruled()).findings) == 2


def test_a_coredns_on_another_port_is_asked_there() -> None:
    target = Target(id="a", kind=TargetKind.OTHER, title="a", instances=(API, COREDNS))
    facts = {
        (host.listeners, POD): (replace(LISTENER, address="0.0.0.0", port=1053),),
        (host.dns_answer, "127.0.0.1", NAME, POD, "A", 1053): RIGHT,
    }
    assert run_check(not_answering, target, facts=facts).outcome == "passed"


def test_another_domain_and_ipv6_are_asked_for_as_such() -> None:
    api = Instance(
        name="kube-apiserver",
        source="x",
        pid=10,
        net=NET,
        argv=("kube-apiserver", "--service-cluster-ip-range=fd00:10::/112"),
    )
    kubelet = Instance(
        name="kubelet",
        source="x",
        pid=30,
        net=NET,
        argv=("kubelet", "--cluster-dns=fd00:10::a", "--cluster-domain=k8s.example."),
    )
    target = Target(id="a", kind=TargetKind.OTHER, title="a", instances=(api, kubelet))
    name = "kubernetes.default.svc.k8s.example."
    rules = host.ServiceRules(address="fd00:10::a", port=53, protocol="udp", leaving=ruled("fd00:88::9").leaving)
    facts = {
        (host.addresses, NET): ADDRESSES,
        (host.routes, NET): (host.Route(destination="::/0", link="kd0"),),
        (host.service_rules, NET, "fd00:10::a", 53, "udp"): rules,
        (host.dns_answer, "fd00:10::a", name, NET, "AAAA"): host.DnsAnswer(code="NOERROR", addresses=("fd00:10::1",)),
    }
    assert run_check(not_answering, target, facts=facts).outcome == "passed"


def test_without_a_coredns_and_without_an_address_there_is_nothing_to_ask() -> None:
    silent = Instance(name="kubelet", source="process 30", pid=30, net=NET, argv=("kubelet",))
    result = checked(silent)
    assert (result.outcome, result.reason) == (
        "not-applicable",
        "no CoreDNS runs here, and no kubelet tells pods of a DNS server",
    )


# --- stubs of the machine ---------------------------------------------------------------------------------------------


def stubbed(answer: host.DnsAnswer | Silent, *servers: str) -> Result:
    kubelet = Instance(name="kubelet", source="process 30", pid=30, argv=("kubelet", "--cluster-dns=127.0.0.10"))
    target = Target(id="a", kind=TargetKind.OTHER, title="a", instances=(kubelet,))
    facts = {
        (host.addresses, 0): (host.Address(address="127.0.0.10", network="127.0.0.10/8", link="lo"),),
        (host.dns_answer, "127.0.0.10", NAME): RIGHT,
        (host.resolv_conf,): host.ResolvConf(servers=servers),
        (host.dns_answer, "127.0.0.53", "localhost."): answer,
    }
    return run_check(not_answering, target, facts=facts)


def test_a_stub_that_is_not_there_is_a_warning() -> None:
    (finding,) = stubbed(Silent("nobody listens on 127.0.0.53 port 53/udp"), "127.0.0.53", "8.8.8.8").findings
    assert finding.message == (
        "/etc/resolv.conf names 127.0.0.53, on the machine itself, and no name server answers there"
    )
    assert finding.severity == "warning"


def test_a_stub_that_says_anything_is_there_and_servers_elsewhere_are_not_asked() -> None:
    assert stubbed(host.DnsAnswer(code="REFUSED"), "127.0.0.53").outcome == "passed"
    assert stubbed(Silent("it was asked"), "8.8.8.8").outcome == "passed"
