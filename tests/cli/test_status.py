from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import call

from kubedoctor.cluster.documents import ComponentStatus, PlaceStatus, ProcessStatus, Status
from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.identity import boot_id, identify
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.jsonform import from_json, to_json


@pytest.fixture(autouse=True)
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    paths = ClusterPaths.of("mine")
    paths.place().directory.mkdir(parents=True)
    return paths


def state(cluster: ClusterPaths, phase: str, component: str) -> PlaceStatus:
    ticks = identify(os.getpid()).start_ticks
    me = ProcessStatus(pid=os.getpid(), start_ticks=ticks)
    etcd = ComponentStatus(
        name="etcd", kind="control-plane", place="node-1", state=component, ready=component == "ready", pid=me.pid
    )
    return PlaceStatus(
        name="node-1",
        kind="sandbox",
        phase=phase,
        boot_id=boot_id(),
        keeper=me,
        supervisor=me,
        components=(dataclasses.replace(etcd, start_ticks=ticks),),
    )


def write(cluster: ClusterPaths, phase: str, component: str) -> None:
    write_atomically(cluster.place().state, json.dumps(to_json(state(cluster, phase, component))))


@contextlib.contextmanager
def held(cluster: ClusterPaths) -> Iterator[None]:
    with cluster.place().lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def test_a_ready_cluster_exits_with_0(cluster: ClusterPaths) -> None:
    write(cluster, "ready", "ready")
    with held(cluster):
        called = call("status", "--name", "mine")
    assert called.status == 0
    assert "cluster mine   ready" in called.out
    assert "etcd" in called.out


def test_a_cluster_that_is_not_ready_exits_with_1(cluster: ClusterPaths) -> None:
    write(cluster, "not-ready", "backoff")
    with held(cluster):
        called = call("status", "--name", "mine")
    assert called.status == 1
    assert "not ready" in called.out


def test_json_is_a_status_document(cluster: ClusterPaths) -> None:
    write(cluster, "ready", "ready")
    with held(cluster):
        called = call("status", "--name", "mine", "-o", "json")
    document = json.loads(called.out)
    assert (document["kind"], document["schema_version"]) == ("Status", 1)
    assert from_json(Status, document).components[0].pid == os.getpid()


def test_an_unknown_cluster_is_told_with_those_there_are() -> None:
    called = call("status", "--name", "other")
    assert (called.status, called.out) == (1, "")
    assert "no cluster `other`" in called.err
    assert "mine" in called.err


def test_a_name_that_cannot_be_one_is_wrong_use() -> None:
    assert call("status", "--name", "../x").status == 2


def test_watching_shows_text_only() -> None:
    assert call("status", "--watch", "-o", "json").status == 2


def test_watching_without_a_terminal_tells_changes(cluster: ClusterPaths) -> None:
    write(cluster, "starting", "starting")
    with (
        held(cluster),
        subprocess.Popen(
            [sys.executable, "-m", "kubedoctor", "status", "--name", "mine", "--watch"],
            stdout=subprocess.PIPE,
            text=True,
        ) as watcher,
    ):
        assert watcher.stdout is not None
        assert "cluster mine   starting" in watcher.stdout.readline()
        assert "etcd" in watcher.stdout.readline()
        write(cluster, "ready", "ready")
        assert "cluster mine   ready" in watcher.stdout.readline()
        assert "ready" in watcher.stdout.readline()
        watcher.terminate()


def test_status_needs_no_heavy_library_and_is_quick(cluster: ClusterPaths) -> None:
    write(cluster, "ready", "ready")
    code = (
        "import sys; from kubedoctor.cli.main import run; status = run(['status', '--name', 'mine']);"
        "heavy = {'httpx', 'rich', 'psutil', 'cryptography', 'yaml', 'pyroute2', 'pluggy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    with held(cluster):
        fastest = min(_seconds([sys.executable, "-c", code]) for _ in range(3))
    assert fastest < 1.0, "0.1 s on an idle machine; the bound leaves room for a busy one"


def _seconds(argv: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
