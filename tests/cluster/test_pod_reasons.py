"""What is said of pods that are not ready, for whatever the API answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from support.planning import plan
from support.values import JSON

from kubedoctor.cluster.documents import PlannedManifest
from kubedoctor.cluster.pod_reasons import reason, told_of, told_of_pod

DEPLOYMENT = {
    "metadata": {"name": "dns", "namespace": "kube-system"},
    "spec": {"selector": {"matchLabels": {"k8s-app": "dns"}}, "template": {}},
}
CLAIM = {"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}}}}
MANIFEST = PlannedManifest(name="dns", objects=(CLAIM, DEPLOYMENT), paths=("/claims/x", "/deployments/dns"))
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Ddns&limit=20"


def event(message: str, at: str = "2026-01-01T00:00:00Z", why: str = "Failed") -> dict[str, Any]:
    return {"reason": why, "message": message, "lastTimestamp": at}


def pod(*statuses: Mapping[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "dns-1", "uid": "7"}, "status": {"containerStatuses": [*statuses], **status}}


def waiting(why: str, message: str = "", **status: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": why, "message": message}}, **status}


@pytest.mark.parametrize(
    ("item", "warnings", "said"),
    [
        (
            pod(waiting("ErrImageNeverPull", "image is not present")),
            [event('Error: image "x" is not present')],
            'ErrImageNeverPull: image is not present; Failed: Error: image "x" is not present',
        ),
        (
            pod(waiting("CreateContainerError", "no such file")),
            [event("no such file")],
            "CreateContainerError: no such file",
        ),
        (
            pod(waiting("ContainerCreating")),
            [event("at first"), event("at last:\n  runc says no", "2026-01-01T00:01:00Z", "FailedCreatePodSandBox")],
            "ContainerCreating; FailedCreatePodSandBox: at last: runc says no",
        ),
        (
            pod(waiting("CrashLoopBackOff", "back-off 10s", lastState={"terminated": {"exitCode": 3}})),
            [],
            "CrashLoopBackOff: back-off 10s; before it ended with exit status 3",
        ),
        (
            pod({"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "bye"}}}),
            [],
            "it ended with exit status 137 (OOMKilled): bye",
        ),
        (
            pod({"state": {"running": {}}, "ready": False}),
            [event("HTTP 503", why="Unhealthy")],
            "it runs and is not ready; Unhealthy: HTTP 503",
        ),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}]),
            [],
            "Unschedulable: 0/1",
        ),
        (
            pod(waiting("PodInitializing"), initContainerStatuses=[waiting("ErrImagePull", "refused")]),
            [],
            "ErrImagePull: refused",
        ),
        (pod(), [], "it does not say why"),
    ],
)
def test_pod_tells_why_it_waits(item: dict[str, Any], warnings: list[dict[str, Any]], said: str) -> None:
    assert told_of_pod(item, warnings) == f"pod dns-1: {said}"


def test_pod_that_is_not_ready_is_asked_about_and_nothing_else() -> None:
    well = pod(conditions=[{"type": "Ready", "status": "True"}])
    events = "/api/v1/namespaces/kube-system/events?fieldSelector=involvedObject.uid%3D7%2Ctype%3DWarning&limit=50"
    answers = {PODS: {"items": [well, pod(waiting("ErrImagePull"))]}, events: {"items": []}}
    assert told_of(MANIFEST, answers.__getitem__) == "pod dns-1: ErrImagePull"
    assert told_of(MANIFEST, {PODS: {"items": [well]}}.__getitem__) == ""


def test_workload_without_pods_tells_why_it_has_none() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "forbidden"}
    answers: dict[str, Any] = {PODS: {"items": []}, "/deployments/dns": {"status": {"conditions": [refused]}}}
    assert told_of(MANIFEST, answers.__getitem__) == "it has no pod: FailedCreate: forbidden"
    assert told_of(MANIFEST, {PODS: {"items": []}, "/deployments/dns": {}}.__getitem__) == "it has no pod yet"
    assert told_of(MANIFEST, {PODS: {"kind": "Status", "code": 500}}.__getitem__) == ""


def test_long_messages_keep_their_beginning_and_their_end() -> None:
    said = told_of_pod(pod(waiting("ErrImagePull", f"first {'x ' * 100_000} last")), [])
    assert len(said) < 400
    assert "first" in said
    assert said.endswith("last")


def test_api_that_does_not_answer_costs_nothing_but_the_reason() -> None:
    made = plan(node=True, bound={"kube-apiserver.https": 1})  # nobody listens at port 1, and no key is there
    assert reason(made, "coredns") == ""
    assert reason(made, "etcd") == ""


@given(item=JSON, warnings=JSON, answer=JSON)
def test_whatever_is_answered_something_is_said(item: Any, warnings: Any, answer: Any) -> None:
    listed = warnings if isinstance(warnings, list) else [warnings]
    assert told_of_pod(item, listed).startswith("pod ")
    assert isinstance(told_of(MANIFEST, lambda _: answer), str)
    assert isinstance(told_of(MANIFEST, lambda _: {"items": [answer]}), str)
    assert "\n" not in told_of_pod({"status": answer}, listed)
