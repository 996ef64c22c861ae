"""Who needs a default route, and who does not."""

from __future__ import annotations

import pytest
from kubedoctor_network.checks import no_default_route

from kubedoctor import Denied, Instance, Target, TargetKind, host
from kubedoctor.doctor.documents import Result
from kubedoctor.testing import run_check

NET = 4000
DEFAULT = host.Route(destination="0.0.0.0/0", gateway="198.18.0.254", link="kd0")
OWN = host.Route(destination="198.18.0.0/24", link="kd0")
RANGE = "--service-cluster-ip-range=10.0.0.0/24"


def instance(name: str, *flags: str, pid: int = 10, planned: bool = False) -> Instance:
    return Instance(
        name=name, source=f"process {pid}", pid=pid, net=0 if planned else NET, argv=(name, *flags), planned=planned
    )


def checked(*instances: Instance, routes: tuple[host.Route, ...] | Denied = (OWN,), net: int = NET) -> Result:
    kind = TargetKind.MACHINE if net == 0 else TargetKind.OTHER
    target = Target(id="a", kind=kind, title="a cluster", instances=instances)
    return run_check(no_default_route, target, facts={(host.routes, net): routes})


API = instance("kube-apiserver", RANGE, "--advertise-address=198.18.0.1")
KUBELET = instance("kubelet", "--node-ip=198.18.0.1")


def test_a_default_route_is_all_that_anybody_asks_for() -> None:
    needy = (instance("kube-apiserver"), instance("kubelet"))
    assert checked(*needy, routes=(OWN, DEFAULT)).outcome == "passed"
    assert checked(*needy, routes=(OWN, host.Route(destination="::/0", link="kd0"))).outcome == "passed"


@pytest.mark.parametrize(
    "useless",
    [
        host.Route(destination="0.0.0.0/0", link="kd0", table=1000),
        host.Route(destination="0.0.0.0/0", kind="unreachable"),
    ],
)
def test_a_default_route_that_leads_nowhere_or_is_not_in_the_main_table_is_none(useless: host.Route) -> None:
    planned = instance("kube-apiserver", pid=0, planned=True)
    assert checked(planned, routes=(OWN, useless), net=0).outcome == "failed"


@pytest.mark.parametrize("flags", [(), ("--bind-address=0.0.0.0",), ("--bind-address=127.0.0.1",)])
def test_kube_apiserver_would_end_without_one(flags: tuple[str, ...]) -> None:
    (finding,) = checked(instance("kube-apiserver", *flags, pid=0, planned=True), net=0).findings
    assert finding.message == "there is no default route, so kube-apiserver finds no address to advertise, and ends"
    assert (finding.severity, finding.subject) == ("error", "kube-apiserver --advertise-address")
    assert finding.evidence[0].observed == "198.18.0.0/24 dev kd0"


@pytest.mark.parametrize("flag", ["--advertise-address=198.18.0.1", "--bind-address=198.18.0.1"])
def test_kube_apiserver_that_is_told_its_address_needs_none(flag: str) -> None:
    result = checked(instance("kube-apiserver", flag, pid=0, planned=True), net=0)
    assert (result.outcome, result.reason) == (
        "not-applicable",
        "what runs here is told its addresses; a sandbox has routes of its own",
    )


def test_what_runs_already_is_warned_of_its_next_start() -> None:
    (finding,) = checked(instance("kube-apiserver")).findings
    assert finding.message.endswith("kube-apiserver needs one to find its address when it starts again")
    assert finding.severity == "warning"
    findings = checked(instance("kubelet")).findings
    assert [one.severity for one in findings] == ["warning"]


def test_programs_on_a_node_reach_no_service_without_a_route_to_them() -> None:
    (finding,) = checked(API, KUBELET).findings
    assert finding.message == (
        "there is no default route and none to 10.0.0.0/24, so programs on the machine itself reach no service"
    )
    assert finding.severity == "error"
    to_services = host.Route(destination="10.0.0.0/8", link="kd0")
    assert checked(API, KUBELET, routes=(OWN, to_services)).outcome == "passed"
    refused = host.Route(destination="10.0.0.0/16", kind="unreachable")
    assert checked(API, KUBELET, routes=(OWN, to_services, refused)).outcome == "failed"


def test_routes_that_cannot_be_read_are_unknown() -> None:
    assert checked(API, KUBELET, routes=Denied("needs root")).outcome == "unknown"
