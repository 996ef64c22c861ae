from __future__ import annotations

from typing import Any

import pytest
from kubedoctor_controllers import checks
from kubedoctor_controllers.facts import Undone, undone
from support.instances import NOW, absent, cluster, listener, messages, planned, recorded, running

from kubedoctor import Denied, Instance, Malformed, NotApplicable, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.given import Given
from kubedoctor.testing import run_check

NAME = "kube-controller-manager"
URL = "https://127.0.0.1:10257"
OK = host.Health(status=200, text="ok")
DONE = Undone(reply=host.ApiReply(status=200))
LEASE = ("kube-system", NAME)


def manager(*flags: str, **fields: Any) -> Instance:
    return running(NAME, "--kubeconfig=/kcm", *flags, **fields)


# --- the port ---------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_found() -> None:
    facts: Given = {(host.listeners, 0): (listener(10257),)}
    assert run_check(checks.port_taken, cluster(planned(NAME)), facts=facts, now=NOW).outcome is Outcome.FAILED
    free: Given = {(host.listeners, 0): ()}
    assert run_check(checks.port_taken, cluster(absent(NAME)), facts=free, now=NOW).outcome is Outcome.PASSED
    unseen: Given = {(host.listeners, 0): Denied("needs root")}
    assert run_check(checks.port_taken, cluster(absent(NAME)), facts=unseen).outcome is Outcome.UNKNOWN


def test_a_taken_port_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.port_taken))
    assert message.endswith("listens on port 10257, which kube-controller-manager needs")


# --- the lease --------------------------------------------------------------------------------------------------------


def test_a_lease_that_nobody_alive_holds_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.lease_held_elsewhere))
    assert message.startswith(f"the lease {NAME} is held by old-host_1f0c2e7a, which has not renewed it for ")
    assert message.endswith("waits for it 59 min more")


def held(*instances: Instance, lease: Any, **more: Any) -> Result:
    facts: dict[Any, Any] = {(host.lease, "/kcm", 0, 0, *LEASE): lease}
    if "renewed" in more:
        facts |= {(host.lease_renewal, "/kcm", 0, 0, *LEASE): more["renewed"]}
    if "servers" in more:
        servers = host.ApiAddresses(reply=host.ApiReply(status=200), addresses=more["servers"])
        facts |= {(host.api_addresses, "/kcm", 0, 0): servers}
    if "master" in more:
        sample = host.Sample(name="leader_election_master_status", value=more["master"], labels={"name": NAME})
        metrics = (f"{URL}/metrics", 0, ("leader_election_master_status",), host.Identity(kubeconfig="/admin"))
        facts |= {(host.metrics, *metrics): (sample,)}
    target = cluster(*(instances or (manager(),)), kubeconfig="/admin" if "master" in more else "")
    return run_check(checks.lease_held_elsewhere, target, facts=facts, now=NOW)


def lease(age: float, *, acquired: float = -3000, duration: float = 15, holder: str = "host_1") -> host.LeaseView:
    return host.LeaseView(
        reply=host.ApiReply(status=200),
        lease=host.Lease(holder=holder, duration=duration, acquired=NOW + acquired, age=age),
    )


def test_a_manager_that_leads_or_needs_no_lease_is_well() -> None:
    assert held(lease=lease(1)).outcome is Outcome.PASSED
    assert held(manager("--leader-elect=false"), lease=Denied("x")).outcome is Outcome.PASSED
    assert held(lease=lease(1, acquired=-9000), master=1.0).outcome is Outcome.PASSED
    assert held(absent(NAME), lease=Denied("x")).outcome is Outcome.PASSED


def test_a_lease_that_is_free_is_nobody_elses() -> None:
    nobody = host.LeaseView(reply=host.ApiReply(status=404))
    for free in (nobody, lease(20, acquired=-9000), lease(1, holder="", acquired=-9000)):
        assert held(lease=free).outcome is Outcome.PASSED


def test_a_lease_of_one_who_is_gone_is_found() -> None:
    (finding,) = held(lease=lease(100, acquired=-9000, duration=7200)).findings
    assert finding.message == (
        f"the lease {NAME} is held by host_1, which has not renewed it for 1 min and is not alive: "
        f"{NAME} (pid 100) waits for it 1 h more"
    )
    assert finding.severity is Severity.ERROR
    assert finding.fixes[0].steps[0].argv == ("kubectl", "-n", "kube-system", "delete", "lease", NAME)
    (soon,) = held(manager(started=NOW - 3), lease=lease(5, acquired=-90), renewed=False, servers=()).findings
    assert (
        soon.message == f"the lease {NAME} was held by host_1, which is gone: {NAME} (pid 100) waits for it 12 s more"
    )
    assert soon.severity is Severity.WARNING


def test_another_manager_on_this_machine_that_leads_is_named() -> None:
    first, second = manager(pid=7, started=NOW - 5000), manager("--secure-port=20257", pid=8, started=NOW - 60)
    (finding,) = held(first, second, lease=lease(1, acquired=-4000)).findings
    assert "(pid 7, user " in finding.message
    assert finding.message.endswith(f"leads, and {NAME} (pid 8) does nothing but wait")
    assert finding.severity is Severity.WARNING


def test_another_host_may_lead_where_there_are_several_control_planes() -> None:
    foreign = lease(1, acquired=-9000)
    assert held(lease=foreign, servers=("10.0.0.1", "10.0.0.2")).outcome is Outcome.PASSED
    (finding,) = held(lease=foreign, renewed=True, servers=("10.0.0.1",)).findings
    assert finding.message.startswith("host_1 leads, which is not on this machine")
    assert finding.severity is Severity.WARNING


def test_who_leads_is_unknown_where_the_lease_its_renewal_or_the_leader_cannot_be_seen() -> None:
    assert held(lease=Denied("needs root")).reason == "needs root"
    refused = host.LeaseView(reply=host.ApiReply(status=403, message="forbidden"))
    assert held(lease=refused).reason == f"the API says of the lease {NAME}: forbidden"
    assert held(lease=lease(1, acquired=-9000), renewed=Denied("no"), servers=()).outcome is Outcome.UNKNOWN
    assert held(lease=lease(1, acquired=-9000), renewed=True).outcome is Outcome.UNKNOWN
    twins = manager(pid=7, started=NOW - 5000), manager(pid=8, started=NOW - 5000)
    assert "needs an administrator's kubeconfig" in held(*twins, lease=lease(1)).reason


# --- work -------------------------------------------------------------------------------------------------------------


def test_a_manager_without_rights_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.not_working))
    assert "runs and cannot work: the API forbids it what it needs: " in message
    assert 'User "system:kube-controller-manager" cannot list' in message


def works(found: Any, instance: Instance | None = None, *, healthz: Any = OK, leased: Any = None) -> Result:
    instance = instance or manager("--leader-elect=false")
    facts: dict[Any, Any] = {
        (host.health, f"{URL}/healthz", 0): healthz,
        (undone, "/kcm", 0, 0, checks.LATE): found,
    }
    if leased is not None:
        facts |= {(host.lease, "/kcm", 0, 0, *LEASE): leased}
    return run_check(checks.not_working, cluster(instance), facts=facts, now=NOW)


def test_a_manager_that_leaves_nothing_undone_works() -> None:
    assert works(DONE).outcome is Outcome.PASSED
    assert works(DONE, healthz=host.Health(status=403)).outcome is Outcome.PASSED
    assert works(DONE, manager(), leased=lease(1)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (host.ApiReply(status=401, message="Unauthorized"), "does not accept the certificate or token of /kcm (401)"),
        (host.ApiReply(status=403, message="it is forbidden"), "forbids it what it needs: it is forbidden"),
        (host.ApiReply(status=503, message="etcd"), "answers 503: etcd"),
        (host.ApiReply(message="1.2.3.4:6443 refused"), "does not answer where /kcm says: 1.2.3.4:6443 refused"),
    ],
)
def test_what_the_api_answers_it_is_why_it_cannot_work(reply: host.ApiReply, said: str) -> None:
    assert messages(works(Undone(reply=reply))) == [f"{NAME} (pid 100) runs and cannot work: the API {said}"]


def test_what_is_left_undone_is_found_unless_it_is_told_to_leave_it() -> None:
    late = Undone(
        reply=host.ApiReply(status=200), deployments=("a/1", "a/2", "a/3", "a/4"), namespaces=("x",), waited=90
    )
    assert messages(works(late)) == [
        f"{NAME} (pid 100) runs and does not work: a/1, a/2, a/3 and 1 more wait for 1 min",
        f"{NAME} (pid 100) runs and does not work: x wait for 1 min",
    ]
    without = manager("--leader-elect=false", "--controllers=*,-deployment,-serviceaccount-controller")
    assert works(late, without).outcome is Outcome.PASSED
    some = manager("--leader-elect=false", "--controllers=deployment-controller")
    assert len(messages(works(late, some))) == 1
    young = manager("--leader-elect=false", started=NOW - 10)
    assert works(late, young).outcome is Outcome.PASSED


def test_a_manager_that_does_not_take_a_free_lease_is_found() -> None:
    free = host.LeaseView(reply=host.ApiReply(status=404))
    assert messages(works(DONE, manager(), leased=free)) == [
        f"{NAME} (pid 100) does not lead, though the lease {NAME} has been free for 1 h"
    ]
    assert messages(works(DONE, manager(), leased=lease(90))) == [
        f"{NAME} (pid 100) does not lead, though the lease {NAME} has been free for 1 min"
    ]
    assert works(DONE, manager(started=NOW - 5), leased=free).outcome is Outcome.PASSED


def test_a_manager_that_does_not_run_or_answer_is_found_by_that() -> None:
    assert messages(works(DONE, absent(NAME))) == [f"{NAME} does not run"]
    assert messages(works(DONE, manager(state="T"))) == [f"{NAME} (pid 100) is stopped, by SIGSTOP or Ctrl-Z"]
    silent = host.Health(problem="127.0.0.1:10257 refused the connection")
    assert messages(works(DONE, healthz=silent)) == [
        f"{NAME} (pid 100) does not answer: 127.0.0.1:10257 refused the connection"
    ]
    sick = host.Health(status=500, text="[-]leaderElection failed")
    assert messages(works(DONE, healthz=sick)) == [f"{NAME} (pid 100) is not well: 500 [-]leaderElection failed"]


def test_a_manager_whose_kubeconfig_cannot_be_read_is_asked_about_by_an_administrator() -> None:
    instance = manager("--leader-elect=false")
    facts: Given = {
        (host.health, f"{URL}/healthz", 0): OK,
        (undone, "/kcm", 0, 0, checks.LATE): Denied("needs root to read /kcm"),
        (undone, "/admin", 0, 0, checks.LATE): DONE,
    }
    assert run_check(checks.not_working, cluster(instance), facts=facts, now=NOW).reason == "needs root to read /kcm"
    told = run_check(checks.not_working, cluster(instance, kubeconfig="/admin"), facts=facts, now=NOW)
    assert told.outcome is Outcome.PASSED
    refused: Given = {**facts, (undone, "/admin", 0, 0, checks.LATE): Undone(reply=host.ApiReply(status=403))}
    target = cluster(instance, kubeconfig="/admin")
    assert run_check(checks.not_working, target, facts=refused, now=NOW).reason == "needs root to read /kcm"


def test_a_manager_without_any_kubeconfig_cannot_be_asked_about() -> None:
    facts: Given = {(host.health, f"{URL}/healthz", 0): OK}
    result = run_check(checks.not_working, cluster(running(NAME)), facts=facts, now=NOW)
    assert result.outcome is Outcome.NOT_APPLICABLE
    for error in (Silent("x"), Malformed("x")):
        assert works(error).outcome is Outcome.UNKNOWN
    assert NotApplicable("x").reason == "x"
