from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubedoctor.cluster.documents import ComponentStatus, PlaceStatus, PlannedPort, ProcessStatus
from kubedoctor.cluster.identity import boot_id, identify
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.status import existing, look
from kubedoctor.errors import NotRunning
from kubedoctor.jsonform import to_json


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    paths = ClusterPaths.of("local")
    paths.place().directory.mkdir(parents=True)
    return paths


@pytest.fixture
def held(cluster: ClusterPaths) -> Iterator[None]:
    with cluster.place().lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def me() -> ProcessStatus:
    return ProcessStatus(pid=os.getpid(), start_ticks=identify(os.getpid()).start_ticks)


def component(pid: int = 0, **more: object) -> ComponentStatus:
    ticks = identify(pid).start_ticks if pid else 0
    port = PlannedPort(name="secure", inside=6443, outside=16443, outside_address="127.0.0.1")
    base = ComponentStatus(
        name="kube-apiserver", kind="control-plane", place="node-1", state="ready", ready=True, pid=pid, ports=(port,)
    )
    return dataclasses.replace(base, start_ticks=ticks, **more)  # type: ignore[arg-type]


def record(cluster: ClusterPaths, **fields: object) -> None:
    state = PlaceStatus(name="node-1", kind="sandbox", phase="ready", boot_id=boot_id(), since="2026-01-01T00:00:00Z")
    state = dataclasses.replace(state, **fields)  # type: ignore[arg-type]
    cluster.place().state.write_text(json.dumps(to_json(state)))


def test_a_cluster_that_is_not_there_is_told_with_those_that_are(cluster: ClusterPaths) -> None:
    with pytest.raises(NotRunning, match="there is no cluster `other`") as raised:
        existing("other")
    assert "`local`" in raised.value.hint


def test_a_cluster_that_was_never_started_is_stopped(cluster: ClusterPaths) -> None:
    assert (look(cluster).phase, look(cluster).reason) == ("stopped", "it was never started")


def test_a_ready_cluster_is_ready(cluster: ClusterPaths, held: None, process: subprocess.Popen[bytes]) -> None:
    record(cluster, keeper=me(), supervisor=me(), components=(component(process.pid),))
    cluster.place().plan.write_text('{"api": {"port": 6443}, "kubeconfig": "/k", "place_kind": "sandbox"}')
    found = look(cluster)
    assert (found.phase, found.address, found.kubeconfig) == ("ready", "https://127.0.0.1:16443", "/k")
    assert found.components[0].ready


def test_after_a_reboot_it_says_so(cluster: ClusterPaths) -> None:
    record(cluster, boot_id="another", keeper=me(), components=(component(os.getpid()),))
    found = look(cluster)
    assert found.phase == "stopped"
    assert "the machine was restarted" in found.reason
    assert not found.components[0].ready


def test_a_stopped_cluster_is_stopped_before_and_after_a_reboot(cluster: ClusterPaths) -> None:
    record(cluster, phase="stopped", boot_id="another")
    assert (look(cluster).phase, look(cluster).reason) == ("stopped", "")


def test_a_keeper_killed_with_everything_is_told(cluster: ClusterPaths) -> None:
    record(cluster, keeper=ProcessStatus(pid=os.getpid(), start_ticks=1))
    found = look(cluster)
    assert found.phase == "stopped"
    assert "kubedoctor up" in found.reason


def test_processes_that_outlive_their_keeper_are_told(cluster: ClusterPaths, process: subprocess.Popen[bytes]) -> None:
    record(cluster, components=(component(process.pid),))
    found = look(cluster)
    assert found.phase == "not-ready"
    assert "kube-apiserver" in found.reason


def test_a_component_gone_without_word_of_its_keeper_makes_the_cluster_not_ready(
    cluster: ClusterPaths, held: None
) -> None:
    gone = dataclasses.replace(component(os.getpid()), start_ticks=1)
    record(cluster, keeper=me(), components=(gone,))
    found = look(cluster)
    assert found.phase == "not-ready"
    assert not found.components[0].ready


def test_a_lock_without_a_living_keeper_is_an_up_at_its_beginning(cluster: ClusterPaths, held: None) -> None:
    record(cluster, phase="stopped")
    assert look(cluster).phase == "starting"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', '{"schema_version": 99}', "\x00\xff"])
def test_a_state_file_that_cannot_be_read_is_said(cluster: ClusterPaths, held: None, text: str) -> None:
    cluster.place().state.write_text(text)
    found = look(cluster)
    assert found.phase == "not-ready"
    assert str(cluster.place().state) in found.reason


def test_a_plan_that_cannot_be_read_does_not_hide_the_status(cluster: ClusterPaths, held: None) -> None:
    cluster.place().plan.write_text("[1")
    record(cluster, keeper=me(), components=(component(),))
    assert look(cluster).phase == "ready"
