"""What is found when containerd, runc or the kubelet's way to them is wrong: on a real node."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.clusters import eventually, got, kubectl
from support.faults import examined
from support.nodes import CHECKS, SOCKET, Node, a_node, changed, runc_without_seccomp

from kubedoctor import host
from kubedoctor.doctor.look import SharedLook

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DISABLED = "io.containerd.grpc.v1.cri"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path]) -> Iterator[Node]:
    with a_node(tmp_path_factory.mktemp("runtime"), node_binaries) as found:
        yield found


@pytest.fixture
def node(shared: Node) -> Iterator[Node]:
    yield shared
    assert shared.says("True"), "the test has left its fault behind"


def test_nothing_is_found_on_a_healthy_node(node: Node) -> None:
    seen = examined(node.cli, *CHECKS, fixture="healthy-node")
    assert seen.findings() == []
    assert seen.blind() == {}
    for check in ("cri-disabled", "socket-missing", "not-answering", "runc-without-seccomp"):
        assert seen.outcome(f"runtime.{check}", "local") == "passed"
    assert seen.outcome("kubelet.cgroup-driver-mismatch", "local") == "passed"


def test_a_wrong_endpoint_is_told_with_where_the_runtime_is(node: Node) -> None:
    with changed(node.kubelet, (SOCKET, "/run/containerd/container.sock")):
        assert node.cli("restart", "kubelet").status == 1
        seen = examined(node.cli, *CHECKS, fixture="runtime.socket-missing")
    node.cli.ok("start", "kubelet")
    assert seen.failed() == {"runtime.socket-missing"}
    message = seen.message("runtime.socket-missing")
    assert message.startswith("kubelet wants its runtime at /run/containerd/container.sock, which does not exist")
    assert f"containerd (pid {node.pid('containerd')}) listens at {SOCKET}" in message


def test_a_runtime_that_was_stopped_leaves_no_socket(node: Node) -> None:
    node.cli.ok("stop", "containerd")
    seen = examined(node.cli, *CHECKS)
    node.cli.ok("start", "containerd")
    assert seen.failed() == {"runtime.socket-missing"}
    assert f"wants its runtime at {SOCKET}, which does not exist" in seen.message("runtime.socket-missing")


def test_a_socket_that_a_dead_runtime_left_behind_is_told(node: Node) -> None:
    node.cli.ok("stop", "containerd")
    program = f"import socket; socket.socket(socket.AF_UNIX).bind({SOCKET!r})"
    node.cli.ok("enter", "python3", "-c", program)
    seen = examined(node.cli, *CHECKS)
    node.cli.ok("start", "containerd")
    assert seen.failed() == {"runtime.not-answering"}
    assert f"nobody listens at {SOCKET}" in seen.message("runtime.not-answering")


def test_a_stopped_runtime_is_told_from_a_dead_one(node: Node) -> None:
    containerd = node.pid("containerd")
    os.kill(containerd, signal.SIGSTOP)
    try:
        seen = examined(node.cli, *CHECKS, fixture="runtime.not-answering")
    finally:
        os.kill(containerd, signal.SIGCONT)
    (finding,) = seen.findings()
    assert finding["message"] == f"containerd (pid {containerd}) is stopped, by SIGSTOP or Ctrl-Z"
    assert finding["fixes"][0]["steps"][0]["argv"] == ["kill", "-CONT", str(containerd)]
    assert seen.outcome("cni.no-config", "local") == "skipped"


def test_a_disabled_cri_is_told_though_containerd_runs(node: Node) -> None:
    with changed(node.containerd, ("version = 2", f'version = 2\ndisabled_plugins = ["{DISABLED}"]')):
        node.restarted("containerd")
        seen = examined(node.cli, *CHECKS, fixture="runtime.cri-disabled")
    node.restarted("containerd")
    assert seen.failed() == {"runtime.cri-disabled"}
    assert f"{node.containerd} disables {DISABLED}" in seen.message("runtime.cri-disabled")
    assert seen.outcome("runtime.not-answering", "local") == "skipped"


def test_what_only_the_socket_tells_is_told_too(node: Node) -> None:
    """The file is changed back, and nobody has restarted containerd."""
    with changed(node.containerd, ("version = 2", f'version = 2\ndisabled_plugins = ["{DISABLED}"]')):
        node.restarted("containerd")
    seen = examined(node.cli, *CHECKS)
    node.restarted("containerd")
    assert seen.failed() == {"runtime.cri-disabled"}
    assert seen.message("runtime.cri-disabled").endswith(f"at {SOCKET} serves no CRI")


def test_a_name_that_containerd_refuses_is_the_cause_of_its_end(node: Node) -> None:
    with changed(node.containerd, ("version = 2", 'version = 2\ndisabled_plugins = ["cri"]')):
        assert node.cli("restart", "containerd").status == 1
        seen = examined(node.cli, *CHECKS)
    node.cli.ok("start", "containerd")
    assert seen.failed() == {"runtime.cri-disabled"}
    assert 'disables "cri", a name that a file of version 2 must not have' in seen.message("runtime.cri-disabled")


def test_a_runc_without_seccomp_is_found_though_the_node_is_ready(
    node: Node, tmp_path: Path, node_binaries: Mapping[str, Path]
) -> None:
    bare = runc_without_seccomp(tmp_path, node_binaries["runc"].resolve().parent.name)
    good = node.runc.readlink()
    node.runc.unlink()
    node.runc.symlink_to(bare)
    try:
        seen = examined(node.cli, *CHECKS, fixture="runtime.runc-without-seccomp")
    finally:
        node.runc.unlink()
        node.runc.symlink_to(good)
    assert seen.failed() == {"runtime.runc-without-seccomp"}
    assert "lacks seccomp: no pod starts" in seen.message("runtime.runc-without-seccomp")


def test_a_kubelet_set_to_another_driver_works_and_is_only_mentioned(node: Node) -> None:
    """It tells the driver it uses through the API, which is the runtime's."""
    with changed(node.kubelet, ('"cgroupDriver": "cgroupfs"', '"cgroupDriver": "systemd"')):
        node.restarted("kubelet")
        seen = examined(node.cli, *CHECKS)
    node.restarted("kubelet")
    (finding,) = seen.findings()
    assert finding["severity"] == "info"
    assert "is set to cgroupDriver systemd and uses cgroupfs, as containerd" in finding["message"]
    assert "if it is" not in finding["message"]


def test_the_driver_systemd_without_systemd_is_an_error(node: Node) -> None:
    with changed(node.containerd, ("SystemdCgroup = false", "SystemdCgroup = true")):
        node.restarted("containerd")
        seen = examined(node.cli, *CHECKS, fixture="kubelet.cgroup-driver-mismatch")
    node.restarted("containerd")
    assert seen.failed() == {"kubelet.cgroup-driver-mismatch"}
    assert "uses the cgroup driver systemd, and systemd does not run here" in seen.message(
        "kubelet.cgroup-driver-mismatch"
    )


# --- what no check asks yet -------------------------------------------------------------------------------------------


def test_what_runs_is_listed_as_the_runtime_tells_it(node: Node) -> None:
    image = "registry.k8s.io/pause:3.10.2"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "listed"}}
    spec = {"containers": [{"name": "c", "image": image}], "automountServiceAccountToken": False}
    # The account of a namespace is made a moment after the namespace.
    assert eventually(lambda: kubectl(node.cli, "get", "serviceaccount", "default").status == 0)
    got(node.cli, "create", "-f", "-", stdin={**pod, "spec": spec})
    kubectl(node.cli, "wait", "--for=condition=Ready", "pod/listed", "--timeout=60s")
    root = node.pid("containerd")
    look = SharedLook()
    (sandbox,) = look.get(host.cri_sandboxes, SOCKET, root)
    (container,) = look.get(host.cri_containers, SOCKET, root)
    (images,) = look.get(host.cri_image_filesystems, SOCKET, root)
    kubectl(node.cli, "delete", "pod", "listed", "--now")
    assert (sandbox.name, sandbox.namespace, sandbox.ready, sandbox.handler) == ("listed", "default", True, "")
    assert (container.name, container.pod, container.state, container.sandbox) == ("c", "listed", "running", sandbox.id)
    assert abs(container.created - time.time()) < 60
    assert images.used_bytes > 0


def test_a_kubelet_tells_the_driver_it_uses_through_the_api(node: Node) -> None:
    kubeconfig = str(node.cli.home / "clusters" / "local" / "kubeconfig" / "admin")
    name = got(node.cli, "get", "nodes")["items"][0]["metadata"]["name"]
    told = SharedLook().get(host.kubelet_configz, kubeconfig, 0, 0, name)
    assert (told.cgroup_driver, told.runtime) == ("cgroupfs", f"unix://{SOCKET}")
    versions = SharedLook().get(host.node_versions, kubeconfig, 0, 0, name)
    assert versions.kubelet.startswith("v1.")
    assert versions.runtime.startswith("containerd://")
