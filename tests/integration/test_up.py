"""The life of a cluster of real components, as a person at the command line sees it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import COMPONENTS, guarded, identity_of, pids, place_of
from support.machine import processes

from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.identity import ProcessIdentity, open_process, send, wait_gone
from kubedoctor.cluster.place import wait_free

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, binaries) as command:
        yield command


def test_control_plane_works_and_is_gone_after_down(cli: Kubedoctor) -> None:
    up = cli.ok("up", "--name", "a")
    assert up.out == ""
    assert "ready in" in up.err
    assert cli.ok("kubectl", "--name", "a", "get", "--raw", "/readyz").out == "ok"
    assert "default" in cli.ok("kubectl", "--name", "a", "get", "sa", "default").out

    cli.ok("kubectl", "--name", "a", "create", "deployment", "web", "--image=nginx", "--replicas=2")
    cli.ok("kubectl", "--name", "a", "wait", "--for=jsonpath={.status.replicas}=2", "deployment/web", "--timeout=30s")
    pods = json.loads(cli.ok("kubectl", "--name", "a", "get", "pods", "-o", "json").out)["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Pending", "Pending"]

    cli.ok("kubectl", "--name", "a", "create", "serviceaccount", "limited")
    token = cli.ok("kubectl", "--name", "a", "create", "token", "limited").out.strip()
    refused = cli("kubectl", "--name", "a", "--token", token, "--kubeconfig", anonymous(cli, "a"), "get", "secrets")
    assert refused.status != 0
    assert "system:serviceaccount:default:limited" in refused.err
    assert "forbidden" in refused.err.lower()

    uid = uid_of_default_namespace(cli, "a")
    down = cli.ok("down", "--name", "a")
    assert "stopped" in down.err
    assert processes(cli.home) == []
    cli.ok("up", "--name", "a")
    assert uid_of_default_namespace(cli, "a") == uid, "the data of the first run is gone"
    deployment = json.loads(cli.ok("kubectl", "--name", "a", "get", "deployment", "web", "-o", "json").out)
    assert deployment["spec"]["replicas"] == 2


def uid_of_default_namespace(cli: Kubedoctor, name: str) -> str:
    namespace = json.loads(cli.ok("kubectl", "--name", name, "get", "namespace", "default", "-o", "json").out)
    return str(namespace["metadata"]["uid"])


def anonymous(cli: Kubedoctor, name: str) -> str:
    """Return a kubeconfig that trusts the API and has no user: tokens alone speak."""
    path = cli.home.parent / "anonymous.kubeconfig"
    address = cli("status", "--name", name, "-o", "json").json["address"]
    ca = cli.home / "clusters" / name / "pki" / "server-ca.crt"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": address, "certificate-authority": str(ca)}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
                "current-context": "c",
            }
        )
    )
    return str(path)


def test_two_clusters_side_by_side_and_one_dies_alone(cli: Kubedoctor) -> None:
    cli = replace(cli, env={})  # no port is named: they are chosen
    cli.ok("up", "--name", "one")
    cli.ok("up", "--name", "two")
    addresses = {name: cli("status", "--name", name, "-o", "json").json["address"] for name in ("one", "two")}
    assert addresses["one"] != addresses["two"]
    keeper = cli("status", "--name", "one", "-o", "json").json["places"][0]["keeper"]
    before = pids(cli, "--name", "two")
    send(ProcessIdentity(keeper["pid"], keeper["start_ticks"]), signal.SIGKILL)
    assert cli.ok("kubectl", "--name", "two", "get", "--raw", "/readyz").out == "ok"
    assert pids(cli, "--name", "two") == before
    gone = cli("status", "--name", "one", "-o", "json")
    assert gone.status == 1
    assert gone.json["phase"] != "ready"
    cli.ok("up", "--name", "one")
    assert cli("status", "--name", "one", "-o", "json").json["address"] == addresses["one"], "its port was not kept"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path_factory.mktemp("running"), binaries) as command:
        command.ok("up")
        yield command


@pytest.mark.parametrize("victim", COMPONENTS)
def test_killed_component_comes_back(running: Kubedoctor, victim: str) -> None:
    cli = running
    with ControlClient(place_of(cli).socket) as keeper:
        before = last_event(cli)
        events = keeper.events(before)
        assert send(identity_of(cli, victim), signal.SIGKILL)
        ended = next(e["seq"] for e in events if e["component"] == victim and e["exit"] == "killed by SIGKILL")
        next(e for e in events if e["event"] == "ready" and e["seq"] > ended)
    status = cli.ok("status", "-o", "json").json
    component = next(c for c in status["components"] if c["name"] == victim)
    assert component["restarts"] >= 1
    assert component["last_exit"]["reason"] == "killed by SIGKILL"
    assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"


def last_event(cli: Kubedoctor) -> int:
    """Return the number of the last event so far."""
    return int(json.loads(place_of(cli).events.read_text().splitlines()[-1])["seq"])


@pytest.mark.parametrize("victim", ["keeper", "supervisor"])
def test_nothing_outlives_keeper_or_supervisor(running: Kubedoctor, victim: str) -> None:
    cli = running
    status = cli("status", "-o", "json").json
    handles = [open_process(identity_of(cli, name)) for name in COMPONENTS]
    process = status["places"][0][victim]
    assert send(ProcessIdentity(process["pid"], process["start_ticks"]), signal.SIGKILL)
    deadline = time.monotonic() + 2
    for handle in handles:
        assert handle is not None
        assert wait_gone(handle, deadline - time.monotonic())
        os.close(handle)
    cli.ok("up")  # at once, on the same data
    assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"


def test_up_killed_at_any_moment_leaves_nothing(cli: Kubedoctor) -> None:
    generator = random.Random(4)
    moments = [generator.uniform(0.05, 4.0) for _ in range(10)]
    for moment in moments:
        up = cli.popen("up")
        try:
            up.wait(moment)
        except subprocess.TimeoutExpired:
            up.kill()
        up.communicate()
        place = place_of(cli)
        assert wait_free(place, 30), f"after {moment:.2f} s the place is still held"
        if up.returncode == 0:
            cli.ok("down")
        assert processes(cli.home) == [], f"after {moment:.2f} s"


def test_interrupt_stops_what_was_started(cli: Kubedoctor) -> None:
    up = cli.popen("up")
    assert up.stderr is not None
    for line in up.stderr:
        if "etcd" in line:
            break
    up.send_signal(signal.SIGINT)
    _, err = up.communicate(timeout=60)
    assert up.returncode == 130, err
    assert processes(cli.home) == []


def test_running_cluster_is_left_alone_and_changed_settings_restart_what_they_touch(cli: Kubedoctor) -> None:
    cli.ok("up")
    before = pids(cli)
    again = cli.ok("up")
    assert "ready already" in again.err
    assert pids(cli) == before
    cli.ok("up", "--set", "kube-scheduler.v=5")
    after = pids(cli)
    assert [name for name in COMPONENTS if before[name] != after[name]] == ["kube-scheduler"]
    cli.ok("up")  # what was wished for holds until `down`
    assert pids(cli) == after
    cli.ok("restart", "kube-scheduler", "--v", "6")
    assert b"--v=6" in Path(f"/proc/{pids(cli)['kube-scheduler']}/cmdline").read_bytes().split(b"\0")
