"""What `up` says when a cluster does not come up."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from support.planning import plan

from kubedoctor.cluster import pod_reasons
from kubedoctor.cluster.bringup import Waiting, failure, too_late
from kubedoctor.cluster.documents import Event, State


def event(kind: str, component: str = "", message: str = "", state: str = "") -> Event:
    return Event(seq=1, time="", elapsed=0.1, event=kind, component=component, message=message, state=state)


@pytest.mark.parametrize(("node", "needed"), [(False, 200), (True, 350)])
def test_full_disk_tells_how_much_is_needed(monkeypatch: pytest.MonkeyPatch, node: bool, needed: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(needed - 1) << 20))
    hint = failure(plan(node=node), event("failed", "etcd", "exit status 1"), "").hint
    assert f"{needed - 1} MiB are free there: make room, about {needed} MiB are needed in all" in hint
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed << 20))
    assert "make room" not in failure(plan(node=node), event("failed", "etcd", "exit status 1"), "").hint


def test_pods_own_reason_follows_what_the_probe_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    waiting.heard(event("state", "etcd", state=State.READY))
    waiting.heard(event("state", "coredns", "10.0.0.10: operation not permitted", State.STARTING))
    monkeypatch.setattr(pod_reasons, "reason", lambda _, name: f"pod {name}-1: ErrImagePull")
    assert too_late(plan(node=True), waiting, 9).message == (
        "coredns is not ready after 9 s: 10.0.0.10: operation not permitted\n  pod coredns-1: ErrImagePull"
    )


def test_manifest_that_the_api_does_not_take_is_told() -> None:
    waiting = Waiting()
    for message in ("manifest storage: forbidden", "manifest coredns: the limit is too small"):
        waiting.heard(event("note", message=message))
    assert too_late(plan(node=True), waiting, 9).message == (
        "not ready after 9 s: manifest coredns: the limit is too small"
    )
    waiting.heard(event("note", message="manifests are applied"))
    assert too_late(plan(node=True), waiting, 9).message == "not ready after 9 s"
