"""Nodes that kubeadm set up: what should run there, whatever runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import Content, layout, look_at, process

from kubedoctor.doctor.discovery.kubeadm import parse_static_pods
from kubedoctor.doctor.targets import discover
from kubedoctor.facts import Absent, Denied, Malformed
from kubedoctor.host import Process
from kubedoctor.targets import Target, TargetKind

CONTROL_PLANE = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
MANIFESTS = "/etc/kubernetes/manifests"
ADMIN = "/etc/kubernetes/admin.conf"
KUBELET = (
    "/usr/bin/kubelet",
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--config=/var/lib/kubelet/config.yaml",
)


def node(**more: Content) -> dict[str, Content]:
    """Return the files of a control plane node as kubeadm 1.37.2 writes them, with the programs it needs."""
    files: dict[str, Content] = {
        **layout("kubeadm"),
        ADMIN: "",
        "/etc/kubernetes/kubelet.conf": "",
        "/usr/bin/kubelet": "",
        "/usr/bin/containerd": "",
    }
    return files | more


def static_pods(first: int = 100, **common: int) -> list[Process]:
    """Return the processes of the static pods, each in a container of its own, on the host's network."""
    found = []
    for number, name in enumerate(CONTROL_PLANE):
        (pod,) = parse_static_pods(layout("kubeadm")[f"{MANIFESTS}/{name}.yaml"].encode(), name)
        mounts = {"mnt": 50 + number, **common}
        found.append(process(first + number, *pod.argv, **mounts))  # type: ignore[arg-type]
    return found


def clusters(
    processes: Sequence[Process], files: Mapping[str, Content], roots: Mapping[int, Mapping[str, Content]] | None = None
) -> list[Target]:
    machine, *found = discover(look_at(processes, files, roots=roots))
    assert machine.notes == ()
    return found


def test_a_running_node_is_one_target_with_the_kubeconfig_of_its_administrator() -> None:
    (found,) = clusters([*static_pods(), process(1, *KUBELET), process(2, "/usr/bin/containerd")], node())
    assert (found.id, found.kind, found.kubeconfig) == ("kubeadm", TargetKind.KUBEADM, ADMIN)
    assert found.title == "kubeadm cluster, API at port 6443"
    assert [one.name for one in found.instances] == [*CONTROL_PLANE, "containerd", "kubelet"]
    assert all(one.is_running for one in found.instances)
    assert found.notes == ()


def test_a_static_pod_is_seen_in_its_container_and_on_the_hosts_network() -> None:
    (found,) = clusters([*static_pods(), process(1, *KUBELET)], node())
    etcd, kubelet = found.first("etcd"), found.first("kubelet")
    assert etcd is not None
    assert kubelet is not None
    assert (etcd.root, etcd.net, kubelet.root, kubelet.net) == (100, 0, 0, 0)


def test_what_has_ended_is_known_from_its_manifest() -> None:
    (found,) = clusters([*static_pods()[1:], process(1, *KUBELET), process(2, "containerd")], node())
    etcd = found.first("etcd")
    assert etcd is not None
    assert (etcd.pid, etcd.source) == (0, f"manifest {MANIFESTS}/etcd.yaml")
    assert etcd.flag("listen-client-urls") == "https://127.0.0.1:2379,https://10.5.0.7:2379"
    assert len(found.instances) == 6


def test_a_node_on_which_nothing_runs_is_known_from_its_files() -> None:
    (found,) = clusters([], node())
    assert (found.id, found.kubeconfig) == ("kubeadm", ADMIN)
    assert {one.name: one.source for one in found.instances} == {
        **{name: f"manifest {MANIFESTS}/{name}.yaml" for name in CONTROL_PLANE},
        "kubelet": "file /var/lib/kubelet/config.yaml",
        "containerd": "runtime of the kubelet at /run/containerd/containerd.sock",
    }
    assert not any(one.is_running for one in found.instances)
    kubelet = found.first("kubelet")
    assert kubelet is not None
    assert kubelet.argv == (
        "/usr/bin/kubelet",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--config=/var/lib/kubelet/config.yaml",
        "--hostname-override=node-a",
    )


def test_a_runtime_that_is_not_installed_is_not_made_up() -> None:
    files = node()
    del files["/usr/bin/containerd"]
    (found,) = clusters([], files)
    assert found.first("containerd") is None


def test_a_worker_is_a_target_without_a_control_plane() -> None:
    files = {path: text for path, text in node().items() if not path.startswith(MANIFESTS) and path != ADMIN}
    (found,) = clusters([process(1, *KUBELET), process(2, "containerd")], files)
    assert (found.id, found.kubeconfig, found.title) == ("kubeadm", "", "kubeadm cluster")
    assert [one.name for one in found.instances] == ["containerd", "kubelet"]


def test_packages_without_a_cluster_are_no_target() -> None:
    programs: dict[str, Content] = {
        "/usr/bin/kubelet": "",
        "/usr/bin/containerd": "",
        "/etc/containerd/config.toml": "",
    }
    assert clusters([], programs) == []


def test_a_runtime_without_a_kubelet_joins_a_node_whose_kubelet_has_ended() -> None:
    (found,) = clusters([*static_pods(), process(2, "/usr/bin/containerd")], node())
    assert [(one.name, one.pid) for one in found.instances][-2:] == [("containerd", 2), ("kubelet", 0)]


def test_manifests_that_may_not_be_read_are_noted() -> None:
    refused = Denied("needs root to read /etc/kubernetes/manifests")
    files = {ADMIN: Denied(f"needs root to read {ADMIN}"), MANIFESTS: refused, "/var/lib/kubelet/config.yaml": refused}
    (found,) = clusters(static_pods(), files)
    assert len(found.instances) == 4
    assert found.notes == (
        "what should run is not known: needs root to read /etc/kubernetes/manifests",
        f"the API is not asked: needs root to read {ADMIN}",
    )


def test_a_node_whose_files_may_not_be_read_is_never_silently_nothing() -> None:
    (found,) = clusters([], {MANIFESTS: Denied("needs root to read /etc/kubernetes/manifests")})
    assert (found.id, found.instances) == ("kubeadm", ())
    assert found.notes == ("what should run is not known: needs root to read /etc/kubernetes/manifests",)


def test_a_broken_manifest_is_noted_and_the_others_count() -> None:
    (found,) = clusters([], node(**{f"{MANIFESTS}/etcd.yaml": "a: [b"}))
    assert found.first("etcd") is None
    assert found.first("kube-apiserver") is not None
    assert found.notes == ("a static pod is not known: /etc/kubernetes/manifests/etcd.yaml is not YAML: line 2",)


def test_other_files_among_the_manifests_are_passed_over() -> None:
    files = node(
        **{
            f"{MANIFESTS}/notes.txt": "mine",
            f"{MANIFESTS}/app.yaml": "kind: Pod\nspec: {containers: [{command: [sleep]}]}",
        }
    )
    (found,) = clusters([], files)
    assert [one.name for one in found.instances] == [*CONTROL_PLANE, "containerd", "kubelet"]
    assert found.notes == ()


def test_nodes_in_containers_are_targets_of_their_own() -> None:
    def container(first: int, namespace: int) -> list[Process]:
        plane = static_pods(first, net=namespace)
        return [
            *plane,
            process(first + 10, *KUBELET, f"--hostname-override=n{namespace}", net=namespace, mnt=namespace),
            process(first + 11, "containerd", net=namespace, mnt=namespace),
        ]

    inside: dict[str, Content] = node()
    one, two = clusters([*container(100, 7)[1:], *container(200, 8)], {}, roots={110: inside, 210: inside})
    assert [one.id, two.id] == ["kubeadm n7", "kubeadm n8"]
    assert one.title == "kubeadm cluster, API at port 6443, in a network namespace of its own"
    assert one.kubeconfig == ""
    etcd = one.first("etcd")
    assert etcd is not None
    assert (etcd.pid, etcd.root, etcd.net) == (0, 110, 101)


def test_a_kubelet_says_itself_where_its_static_pods_are() -> None:
    files = {"/k.yaml": "staticPodPath: /pods/", "/pods/x.yaml": layout("kubeadm")[f"{MANIFESTS}/etcd.yaml"]}
    (found,) = clusters([process(1, "kubelet", "--config=/k.yaml")], files)
    assert {one.name: one.source for one in found.instances} == {
        "kubelet": "process 1",
        "etcd": "manifest /pods/x.yaml",
    }
    (found,) = clusters([process(1, "kubelet", "--pod-manifest-path=/pods")], files)
    assert found.first("etcd") is not None


# --- manifests of anybody ---------------------------------------------------------------------------------------------


def test_a_manifest_tells_command_line_and_settings_without_secrets() -> None:
    text = """
kind: Pod
spec:
  containers:
  - command: [kube-apiserver]
    args: [--etcd-servers=https://u:secret@h:1, "--token=secret"]
    env: [{name: HTTPS_PROXY, value: "http://u:secret@h"}, {name: OTHER, value: secret}, {name: GOGC, valueFrom: {}}]
"""
    (found,) = parse_static_pods(text.encode(), "x")
    assert (found.name, found.argv[0]) == ("kube-apiserver", "kube-apiserver")
    assert list(found.environment) == ["HTTPS_PROXY"]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "kind: Pod",
        "kind: Pod\nspec: {containers: 3}",
        "kind: Pod\nspec: {containers: [3, {command: 7}]}",
    ],
)
def test_what_is_no_static_pod_of_ours_starts_nothing(text: str) -> None:
    assert parse_static_pods(text.encode(), "x") == ()


@given(st.binary(max_size=300))
def test_any_file_is_a_manifest_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(parse_static_pods(content, "x"), tuple)


def test_a_machine_without_proc_still_has_its_target() -> None:
    class Nothing:
        now = 0.0

        def get(self, *_: object) -> object:
            raise Absent("/proc does not exist")

    (machine,) = discover(Nothing())  # type: ignore[arg-type]
    assert machine.notes == ("what runs here is not known: /proc does not exist",)
