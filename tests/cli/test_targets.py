"""What the doctor is told of our own: what `up` would start, clusters on disk, an API by its kubeconfig."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.planning import bundled

from kubedoctor.cli.targets import known_targets
from kubedoctor.cluster.documents import (
    ComponentStatus,
    Phase,
    PlaceStatus,
    Plan,
    PlannedComponent,
    PlannedPort,
    PlannedProbe,
    ProcessStatus,
    State,
)
from kubedoctor.cluster.identity import boot_id, identify
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.status import INSIDE
from kubedoctor.errors import ConfigError, UsageError
from kubedoctor.jsonform import to_json
from kubedoctor.targets import Instance, Target, TargetKind

US = identify(os.getpid())
PLANNED = PlannedComponent(
    name="etcd",
    kind="control-plane",
    binary="/bin/etcd",
    version="v3.7.3",
    argv=("/bin/etcd", "--listen-client-urls=https://127.0.0.1:2379", "--auth-token=not-to-be-seen"),
    env={"PATH": "/bin", "GOGC": "50", "HTTPS_PROXY": "http://u:not-to-be-seen@h"},
    ports=(PlannedPort(name="client", inside=2379),),
    log="/logs/etcd.log",
)
RUNNING = ComponentStatus(
    name="etcd",
    kind="control-plane",
    place="node-1",
    state=State.READY,
    pid=US.pid,
    pid_inside=7,
    start_ticks=US.start_ticks,
    started="2026-11-23T10:00:00Z",
    binary="/bin/etcd",
    log="/logs/etcd.log",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def known(kubeconfig: str = "", **flags: object) -> tuple[Target, ...]:
    return known_targets(bundled(), flags={"node": False, **flags}, environment={}, kubeconfig=kubeconfig)


def by_name(target: Target) -> Mapping[str, Instance]:
    return {one.name: one for one in target.instances}


def write(state: PlaceStatus | str, *, plan: Plan | str | None = None, name: str = "local") -> ClusterPaths:
    """Write the files of a cluster as `up` and its keeper do."""
    cluster = ClusterPaths.of(name)
    place = cluster.place()
    place.directory.mkdir(parents=True)
    place.lock.touch()
    for path, document in ((place.state, state), (place.plan, plan or plan_of(name))):
        path.write_text(document if isinstance(document, str) else json.dumps(to_json(document)))
    return cluster


def plan_of(name: str, *components: PlannedComponent, api: PlannedProbe | None = None) -> Plan:
    return Plan(
        cluster=name,
        place="node-1",
        place_kind="sandbox",
        kubernetes="v1.37.2",
        directory="",
        address="198.18.0.1",
        api=api,
        kubeconfig=str(ClusterPaths.of(name).directory / "kubeconfig" / "admin"),
        components=components or (PLANNED,),
    )


def state_of(phase: Phase, *components: ComponentStatus, boot: str = "", failure: str = "") -> PlaceStatus:
    us = ProcessStatus(pid=US.pid, start_ticks=US.start_ticks)
    return PlaceStatus(
        name="node-1",
        kind="sandbox",
        phase=phase,
        boot_id=boot or boot_id(),
        components=components or (RUNNING,),
        keeper=us,
        supervisor=us,
        failure=failure,
    )


@pytest.fixture
def held() -> Iterator[ClusterPaths]:
    """A cluster whose components are this process, its lock held as its keeper does."""
    cluster = write(state_of(Phase.READY))
    descriptor = os.open(cluster.place().lock, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield cluster
    os.close(descriptor)


# --- what up would start ----------------------------------------------------------------------------------------------


def test_in_a_sandbox_only_the_published_api_is_bound_outside() -> None:
    (machine,) = known()
    planned = by_name(machine)
    assert machine.kind is TargetKind.MACHINE
    assert list(planned) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert all(one.planned and not one.is_running for one in planned.values())
    assert (planned["kube-apiserver"].flag("bind-address"), planned["kube-apiserver"].flag("secure-port")) == (
        "127.0.0.1",
        "6443",
    )
    assert planned["etcd"].flag("listen-client-urls") == "https://127.0.0.1:0"
    assert planned["etcd"].flag("listen-peer-urls") == "http://127.0.0.1:0"
    assert {planned[f"kube-{name}"].flag("secure-port") for name in ("controller-manager", "scheduler")} == {"0"}


def test_a_node_comes_with_the_files_that_up_would_write_and_with_where_its_directories_are() -> None:
    (machine,) = known(node=True, eviction_hard="imagefs.available<3%")
    kubelet, runtime = (by_name(machine)[name] for name in ("kubelet", "containerd"))
    settings = json.loads(kubelet.files[kubelet.flag("config")])
    assert settings["evictionHard"] == {"imagefs.available": "3%"}
    assert settings["imageGCHighThresholdPercent"] == 100, "images out of archives would be deleted"
    assert "root = " in runtime.files[runtime.flag("config")]
    assert kubelet.outside("/var/lib/kubelet/pods").endswith("/places/node-1/data/private/var/lib/kubelet/pods")
    assert kubelet.outside("/var/lib/kubelet-x") == "/var/lib/kubelet-x"
    assert by_name(machine)["kube-apiserver"].files == {}


def test_on_the_host_every_port_is_bound() -> None:
    (machine,) = known(host=True)
    planned = by_name(machine)
    assert planned["etcd"].flag("listen-client-urls") == "https://127.0.0.1:2379"
    assert planned["kube-scheduler"].flag("secure-port") == "10259"


def test_the_ports_that_the_user_wishes_for_are_those() -> None:
    (machine,) = known(api_port="7443", etcd_port="5", without=("kube-scheduler",))
    planned = by_name(machine)
    assert "kube-scheduler" not in planned
    assert planned["kube-apiserver"].flag("secure-port") == "7443"
    assert planned["etcd"].flag("listen-client-urls") == "https://127.0.0.1:5"


def test_wishes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError):
        known(api_port="no")


def test_a_broken_file_of_wishes_is_a_note(home: Path) -> None:
    (home / "kubedoctor.toml").write_text("= =")
    (machine,) = known_targets(bundled(), flags={}, environment={})
    assert machine.instances == ()
    assert machine.notes[0].startswith("what `up` would start is not known: ")


# --- clusters that run ------------------------------------------------------------------------------------------------


def test_a_running_cluster_is_told_with_its_processes(held: ClusterPaths) -> None:
    machine, target = known()
    assert machine.instances == ()
    assert (target.id, target.kind, target.title) == (
        "local",
        TargetKind.KUBEDOCTOR,
        "cluster local, kubernetes v1.37.2, in a sandbox",
    )
    assert target.directory == str(held.directory)
    (etcd,) = target.instances
    assert (etcd.pid, etcd.root, etcd.net, etcd.source) == (US.pid, US.pid, US.pid, f"process {US.pid}")
    assert etcd.flag("listen-client-urls") == "https://127.0.0.1:2379"
    assert (etcd.started, etcd.log, etcd.executable) == (1795428000.0, "/logs/etcd.log", "/bin/etcd")


def test_nothing_of_a_plan_that_is_secret_is_told(held: ClusterPaths) -> None:
    *_, target = known()
    (etcd,) = target.instances
    assert list(etcd.environment) == ["GOGC", "HTTPS_PROXY"]
    assert "not-to-be-seen" not in str(target)


def test_another_cluster_that_runs_leaves_what_up_would_start(held: ClusterPaths) -> None:
    machine, _ = known(name="two")
    assert machine.instances


def rewrite(cluster: ClusterPaths, *components: ComponentStatus) -> None:
    cluster.place().state.write_text(json.dumps(to_json(state_of(Phase.NOT_READY, *components))))


def test_a_component_that_ended_is_meant_to_run_in_its_sandbox(held: ClusterPaths) -> None:
    rewrite(held, replace(RUNNING, pid=0, start_ticks=0, state=State.BACKOFF))
    *_, target = known()
    (etcd,) = target.instances
    assert (etcd.pid, etcd.root, etcd.net, etcd.source) == (0, US.pid, US.pid, "plan of cluster local")
    assert etcd.flag("listen-client-urls") == "https://127.0.0.1:2379"


def test_a_pid_that_is_somebody_elses_now_is_not_taken(held: ClusterPaths) -> None:
    rewrite(held, replace(RUNNING, start_ticks=1))
    *_, target = known()
    (etcd,) = target.instances
    assert etcd.pid == 0


def test_a_component_that_somebody_stopped_is_not_missed(held: ClusterPaths) -> None:
    rewrite(held, replace(RUNNING, pid=0, start_ticks=0, state=State.EXITED))
    *_, target = known()
    assert target.instances == ()
    assert target.notes == ("etcd does not run: somebody has stopped it",)


def test_a_component_that_does_its_work_and_ends_is_not_missed(held: ClusterPaths) -> None:
    passing = replace(PLANNED, name="images", ends=True)
    held.place().plan.write_text(json.dumps(to_json(plan_of("local", PLANNED, passing))))
    rewrite(held, RUNNING, replace(RUNNING, name="images", pid=0, start_ticks=0, state=State.DONE))
    *_, target = known()
    assert [one.name for one in target.instances] == ["etcd"]


def test_the_administrators_kubeconfig_is_told_where_there_is_an_api(held: ClusterPaths) -> None:
    admin = held.directory / "kubeconfig" / "admin"
    admin.parent.mkdir()
    admin.touch()
    assert known()[-1].kubeconfig == ""
    held.place().plan.write_text(json.dumps(to_json(plan_of("local", api=PlannedProbe(kind="https", port=6443)))))
    assert known()[-1].kubeconfig == str(admin)


def test_inside_its_sandbox_a_cluster_is_seen_from_inside(held: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSIDE, "local")
    *_, target = known()
    (etcd,) = target.instances
    assert (etcd.pid, etcd.root, etcd.net) == (7, 0, 0)


def test_a_plan_that_cannot_be_read_leaves_the_processes(held: ClusterPaths) -> None:
    held.place().plan.write_text("{")
    *_, target = known()
    (etcd,) = target.instances
    assert (etcd.pid, etcd.argv) == (US.pid, ())
    assert target.notes[0].startswith("the command lines of cluster local are not known: ")


# --- clusters that do not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        state_of(Phase.STOPPED),
        state_of(Phase.STOPPED, failure="etcd: exit status 1"),  # its `up` failed, and brought it down
        state_of(Phase.STOPPED, boot="another"),
    ],
)
def test_a_cluster_that_was_brought_down_is_no_target(state: PlaceStatus) -> None:
    write(state)
    (machine,) = known()
    assert (len(machine.instances), machine.notes) == (4, ())


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (state_of(Phase.READY, boot="another"), "the machine was restarted"),
        (state_of(Phase.READY), "its keeper was ended from outside"),
        (
            state_of(Phase.STOPPED, failure="the supervisor ended by signal 9; see x"),
            "the supervisor ended by signal 9",
        ),
    ],
)
def test_a_cluster_that_should_run_is_a_target(state: PlaceStatus, why: str) -> None:
    gone = ProcessStatus(pid=US.pid, start_ticks=1)
    write(replace(state, keeper=gone, supervisor=gone, components=(replace(RUNNING, start_ticks=1),)))
    machine, target = known()
    assert len(machine.instances) == 4
    assert target.title == "cluster local, kubernetes v1.37.2, in a sandbox, does not run"
    (etcd,) = target.instances
    assert (etcd.pid, etcd.root, etcd.net, etcd.source) == (0, 0, 0, "plan of cluster local")
    assert etcd.flag("listen-client-urls") == "https://127.0.0.1:0"
    assert target.notes[0].startswith(f"cluster local does not run: {why}")


def test_a_cluster_that_never_was_up_is_no_target() -> None:
    ClusterPaths.of("local").place().directory.mkdir(parents=True)
    assert len(known()) == 1


def test_a_cluster_whose_record_cannot_be_read_is_a_note() -> None:
    write("{")
    (machine,) = known()
    assert machine.notes[0].startswith("cluster local is not looked at: ")


def test_a_home_that_cannot_be_read_is_a_note(home: Path) -> None:
    (home / "clusters").write_text("")
    (machine,) = known()
    assert machine.notes == (
        f"our own clusters are not seen: {home}/clusters: Not a directory",
        f"what `up` would start is not known: {home}/clusters/local/cluster.json: Not a directory",
    )


# --- an API somebody named --------------------------------------------------------------------------------------------


def test_a_kubeconfig_is_a_target(home: Path) -> None:
    (home / "k").write_text("{}")
    _, api = known(kubeconfig="k")
    assert (api.kind, api.kubeconfig) == (TargetKind.API, str(home / "k"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", "No such file or directory"),
        ("pipe", "it is a pipe, not a file"),
        ("/dev/zero", "it is a device, not a file"),
        ("socket", "it is a socket, not a file"),
        (".", "it is a directory, not a file"),
        ("huge", "it is larger than 1048576 bytes"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_kubeconfig_that_is_no_file_is_refused(home: Path, name: str, reason: str) -> None:
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    (home / "huge").touch()
    os.truncate(home / "huge", 8 << 30)
    with pytest.raises(UsageError) as caught:
        known(kubeconfig=name)
    assert caught.value.message == f"--kubeconfig: cannot read {(home / name).absolute()}: {reason}"
