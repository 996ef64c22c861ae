from __future__ import annotations

from typing import Any

import pytest
from kubedoctor_scheduler import checks
from kubedoctor_scheduler.facts import Settings, Waiting, settings, waiting_pods
from support.instances import NOW, absent, cluster, listener, messages, planned, recorded, running

from kubedoctor import Absent, Denied, Instance, Malformed, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.given import Given
from kubedoctor.testing import run_check

NAME = "kube-scheduler"
URL = "https://127.0.0.1:10259"
OK = host.Health(status=200, text="ok")
NOTHING = Waiting(reply=host.ApiReply(status=200))


def scheduler(*flags: str, **fields: Any) -> Instance:
    return running(NAME, "--kubeconfig=/k", *flags, **fields)


def works(
    found: Any,
    instance: Instance | None = None,
    *,
    healthz: Any = OK,
    leased: Any = None,
    told: Any = None,
    names: tuple[str, ...] = ("default-scheduler",),
) -> Result:
    instance = instance or scheduler("--leader-elect=false")
    facts: dict[Any, Any] = {(host.health, f"{URL}/healthz", 0): healthz}
    facts |= {(waiting_pods, "/k", 0, 0, name, checks.LATE): found for name in names}
    if leased is not None:
        facts |= {(host.lease, "/k", 0, 0, "kube-system", NAME): leased}
    if told is not None:
        facts |= {(settings, "/conf", 0): told}
    return run_check(checks.not_working, cluster(instance), facts=facts, now=NOW)


def test_a_taken_port_is_found() -> None:
    facts: Given = {(host.listeners, 0): (listener(10259),)}
    assert run_check(checks.port_taken, cluster(planned(NAME)), facts=facts, now=NOW).outcome is Outcome.FAILED
    free: Given = {(host.listeners, 0): ()}
    assert run_check(checks.port_taken, cluster(absent(NAME)), facts=free).outcome is Outcome.PASSED
    unseen: Given = {(host.listeners, 0): Denied("needs root")}
    assert run_check(checks.port_taken, cluster(absent(NAME)), facts=unseen).outcome is Outcome.UNKNOWN


def test_a_taken_port_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.port_taken))
    assert message.endswith("listens on port 10259, which kube-scheduler needs")


def test_a_scheduler_without_rights_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.not_working))
    assert "runs and cannot work: the API forbids it what it needs: " in message
    assert 'User "system:kube-scheduler" cannot list resource "pods"' in message


def test_nothing_is_found_on_the_recorded_healthy_control_plane() -> None:
    assert recorded(checks.not_working, "healthy-control-plane").outcome is Outcome.PASSED


def test_a_scheduler_that_leaves_no_pod_waiting_works() -> None:
    assert works(NOTHING).outcome is Outcome.PASSED


def test_pods_that_nobody_has_looked_at_are_found() -> None:
    waiting = Waiting(reply=host.ApiReply(status=200), pods=("default/a",), waited=40)
    assert messages(works(waiting)) == [
        f"{NAME} (pid 100) runs and does not schedule: default/a wait for 40 s without a word"
    ]
    assert works(waiting, scheduler("--leader-elect=false", started=NOW - 9)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (host.ApiReply(status=401), "does not accept the certificate or token of /k (401)"),
        (host.ApiReply(status=403), "forbids it what it needs: 403"),
        (host.ApiReply(message="x refused"), "does not answer where /k says: x refused"),
    ],
)
def test_what_the_api_answers_it_is_why_it_cannot_work(reply: host.ApiReply, said: str) -> None:
    assert messages(works(Waiting(reply=reply))) == [f"{NAME} (pid 100) runs and cannot work: the API {said}"]


def lease(age: float, *, acquired: float = -3000, duration: float = 15) -> host.LeaseView:
    held = host.Lease(holder="old_1", duration=duration, acquired=NOW + acquired, age=age)
    return host.LeaseView(reply=host.ApiReply(status=200), lease=held)


def test_a_lease_that_keeps_it_from_working_is_found() -> None:
    assert works(NOTHING, scheduler(), leased=lease(1)).outcome is Outcome.PASSED
    (orphaned,) = messages(works(NOTHING, scheduler(), leased=lease(100, acquired=-9000, duration=3600)))
    assert "is held by old_1, which has not renewed it for 1 min and is not alive" in orphaned
    (free,) = messages(works(NOTHING, scheduler(), leased=lease(100)))
    assert "has been free for 1 min" in free


def test_the_file_says_what_flags_would_say_otherwise() -> None:
    instance = running(NAME, "--config=/conf", "--leader-elect=true")
    told = Settings(kubeconfig="/k", elects=False, schedulers=("one", "two", "n,o"))
    assert works(NOTHING, instance, told=told, names=("one", "two")).outcome is Outcome.PASSED
    refused = Waiting(reply=host.ApiReply(status=403))
    assert works(refused, instance, told=told, names=("one", "two")).outcome is Outcome.FAILED
    elected = Settings(kubeconfig="/k", lease="mine", namespace="here")
    facts: Given = {
        (host.health, f"{URL}/healthz", 0): OK,
        (waiting_pods, "/k", 0, 0, "default-scheduler", checks.LATE): NOTHING,
        (host.lease, "/k", 0, 0, "here", "mine"): lease(1),
        (settings, "/conf", 0): elected,
    }
    assert run_check(checks.not_working, cluster(instance), facts=facts, now=NOW).outcome is Outcome.PASSED


def test_a_scheduler_that_does_not_run_or_answer_is_found_by_that() -> None:
    assert messages(works(NOTHING, absent(NAME))) == [f"{NAME} does not run"]
    assert messages(works(NOTHING, scheduler(state="T"))) == [f"{NAME} (pid 100) is stopped, by SIGSTOP or Ctrl-Z"]
    assert messages(works(NOTHING, healthz=host.Health(problem="silence"))) == [
        f"{NAME} (pid 100) does not answer: silence"
    ]


def test_what_cannot_be_read_is_unknown() -> None:
    for error in (Denied("needs root"), Absent("gone"), Malformed("x"), Silent("x")):
        assert works(error).reason == error.reason
        assert works(NOTHING, running(NAME, "--config=/conf"), told=error).outcome is Outcome.UNKNOWN
    nobody = running(NAME, "--leader-elect=false")
    assert works(NOTHING, nobody).outcome is Outcome.NOT_APPLICABLE
