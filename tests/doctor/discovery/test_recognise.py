"""Which command lines are components, and which only speak of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.discovery.recognise import COMPONENTS, component_name

API = ("--etcd-servers=http://127.0.0.1:2379", "--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=x")


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/usr/bin/etcd", "--name=a"], "etcd"),
        (["etcd"], "etcd"),
        (["./kube-apiserver-v1.37.2-linux-amd64", "--secure-port=6443"], "kube-apiserver"),
        (["/tmp/___go_build_k8s_io_kubernetes_cmd_kube_apiserver"], "kube-apiserver"),
        (["/tmp/___1go_build_kube_controller_manager"], "kube-controller-manager"),
        (["/hyperkube", "apiserver", "--v=2"], "kube-apiserver"),
        (["/hyperkube", "kubelet", "--v=2"], "kubelet"),
        (["/usr/local/bin/k3s server"], "k3s"),
        (["/usr/local/bin/k3s agent"], "k3s"),
        (["./k3s-armhf", "server", "--docker"], "k3s"),
        (["/usr/local/bin/k0s", "controller", "--single"], "k0s"),
        (["/usr/bin/cri-dockerd", "--container-runtime-endpoint", "fd://"], "cri-dockerd"),
        (["/usr/bin/dockerd", "-H", "fd://"], "dockerd"),
        (["/home/dev/.kwok/clusters/kwok/bin/kwok-controller", "--node-port=1"], "kwok"),
        (["kubelet", "-v", "4"], "kubelet"),
    ],
)
def test_components_are_known_by_their_names(argv: list[str], name: str) -> None:
    assert component_name(argv) == name


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/tmp/__debug_bin3141", *API], "kube-apiserver"),
        (
            ["/opt/store", "--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1"],
            "etcd",
        ),
        (
            ["/opt/m", "--root-ca-file", "/ca.crt", "--service-account-private-key-file", "/sa"],
            "kube-controller-manager",
        ),
        (["/opt/worker", "--node-ip=10.0.0.1", "--container-runtime-endpoint=unix:///run/x.sock"], "kubelet"),
        (["/opt/p", "--proxy-mode=nftables", "--masquerade-all"], "kube-proxy"),
    ],
)
def test_components_of_another_name_are_known_by_their_flags(argv: list[str], name: str) -> None:
    assert component_name(argv) == name


@pytest.mark.parametrize(
    "argv",
    [
        [],
        [""],
        ["etcdctl", "endpoint", "health"],
        ["etcd-manager", "--x"],
        ["containerd-shim-runc-v2", "-namespace", "k8s.io"],
        ["kubelet-csr-approver"],
        ["kube-apiserver-exporter", "--v=2"],
        ["sudo", "-E", "/usr/bin/kube-apiserver", *API],
        ["/usr/bin/sudo", "--preserve-env", "/opt/mine", *API],
        ["bash", "-c", "kube-apiserver --etcd-servers=x"],
        ["/bin/sh", "/usr/local/bin/kube-apiserver", *API],
        ["dlv", "exec", "--headless", "/usr/bin/kube-apiserver", "--", *API],
        ["strace", "-f", "-o", "/tmp/x", "etcd", "--listen-client-urls=a", "--listen-peer-urls=b"],
        ["grep", "-r", "kube-apiserver", "--etcd-servers=a"],
        ["k3s", "kubectl", "get", "pods"],
        ["k0s", "status"],
        ["kubelet", "--version"],
        ["containerd", "config", "dump"],
        ["etcd", "grpc-proxy", "start", "--listen-addr=127.0.0.1:23790"],
        ["/metrics-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=443"],
        ["kd-supervisor"],
    ],
)
def test_what_only_speaks_of_a_component_is_none(argv: list[str]) -> None:
    assert component_name(argv) == ""


def test_the_executable_tells_where_the_name_does_not() -> None:
    assert component_name(["mine", "--config=x"], "/usr/local/bin/kube-scheduler") == "kube-scheduler"
    assert component_name(["mine"], "/usr/bin/kubelet (deleted)") == "kubelet"
    assert component_name(["./server", "server"], "/usr/local/bin/k3s") == "k3s"


def test_the_name_counts_before_the_executable_of_a_program_that_is_many() -> None:
    assert component_name(["containerd", "-c", "x"], "/var/lib/rancher/k3s/data/1/bin/k3s") == "containerd"


@given(st.lists(st.text(), max_size=6), st.text())
def test_any_command_line_is_a_component_or_none(argv: list[str], executable: str) -> None:
    assert component_name(argv, executable) in {"", *COMPONENTS}


def test_names_made_to_be_slow_are_not() -> None:
    begin = time.thread_time()
    for hostile in ("etcd" + "-1" * 50_000 + "!", "_1go_build_" + "a_" * 5_000 + "!", "-" * 100_000):
        assert component_name([hostile, f"--{hostile}"]) == ""
    assert time.thread_time() - begin < 2
