"""Which components make a cluster, on machines that were recorded and on made-up ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import faults, kubeconfig, look_at, process, processes_of

from kubedoctor.doctor.discovery.grouping import Cluster, is_docker, put_together
from kubedoctor.doctor.discovery.instances import Found, find
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Denied
from kubedoctor.host import Process
from kubedoctor.targets import Instance

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def clusters(
    processes: Sequence[Process], files: Mapping[str, str] | None = None, given: Sequence[Sequence[Found]] = ()
) -> list[Cluster]:
    look = look_at(processes, files)
    return put_together(look, find(look, known=frozenset()), given)


def names(cluster: Cluster) -> list[str]:
    return sorted(one.instance.name for one in cluster.members)


def pids(found: Sequence[Cluster]) -> set[frozenset[int]]:
    return {frozenset(one.instance.pid for one in cluster.members) for cluster in found}


def control_plane(first: int, port: int, *, directory: str, net: int = 1) -> list[Process]:
    """Return the processes of a control plane started by hand, its ports from *port* on."""
    store, api = f"http://127.0.0.1:{port}", port + 1
    return [
        process(first, "etcd", f"--listen-client-urls={store}", f"--data-dir={directory}/etcd", net=net, mnt=net),
        process(first + 1, "kube-apiserver", f"--etcd-servers={store}", f"--secure-port={api}", net=net, mnt=net),
        process(first + 2, "kube-scheduler", f"--kubeconfig={directory}/k", net=net, mnt=net),
        process(first + 3, "kube-controller-manager", f"--master=https://localhost:{api}", net=net, mnt=net),
    ]


# --- as recorded ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [("control-plane", "healthy-baseline"), ("node", "baseline-healthy")])
def test_components_of_a_cluster_started_by_hand_are_one_cluster(kind: tuple[str, str]) -> None:
    argv = faults(*kind)
    (found,) = clusters(processes_of(argv))
    assert names(found) == sorted(argv)


@pytest.mark.parametrize("fault", ["containerd-not-running", "runtime-endpoint-wrong"])
def test_a_node_with_a_fault_stays_one_cluster(fault: str) -> None:
    argv = faults("node", fault)
    (found,) = clusters(processes_of(argv), {"/cluster/kubelet.yaml": "containerRuntimeEndpoint: unix:///run/x.sock"})
    assert names(found) == sorted(argv)


def test_an_etcd_that_the_api_server_looks_for_elsewhere_is_still_the_clusters() -> None:
    (found,) = clusters(processes_of(faults("control-plane", "apiserver-etcd-wrong-port")))
    assert names(found) == ["etcd", "kube-apiserver"]


def test_a_second_etcd_on_the_same_data_is_the_clusters() -> None:
    (found,) = clusters(processes_of(faults("control-plane", "etcd-two-on-one-data-dir")))
    assert names(found) == ["etcd", "etcd", "kube-apiserver"]


def test_a_second_controller_manager_is_the_clusters() -> None:
    (found,) = clusters(processes_of(faults("control-plane", "kcm-second-instance-passive")))
    assert names(found).count("kube-controller-manager") == 2


def test_a_scheduler_without_kubeconfig_is_the_clusters() -> None:
    (found,) = clusters(processes_of(faults("control-plane", "scheduler-no-kubeconfig-flag")))
    assert names(found) == ["etcd", "kube-apiserver", "kube-scheduler"]


def test_a_kwokctl_cluster_is_one_beside_another_cluster() -> None:
    kwok, other = processes_of(faults("kwokctl")), processes_of(faults("control-plane", "healthy-baseline"), first=200)
    file = kubeconfig("https://198.18.0.1:6443")
    files = {f"/cluster/kubeconfig/kube-{name}.kubeconfig": file for name in ("scheduler", "controller-manager")}
    assert pids(clusters([*kwok, *other], files)) == {
        frozenset(one.pid for one in kwok),
        frozenset(one.pid for one in other),
    }


# --- several clusters -------------------------------------------------------------------------------------------------


def test_two_clusters_in_one_network_are_told_apart_by_whom_they_talk_to() -> None:
    one, two = control_plane(100, 3000, directory="/a"), control_plane(200, 4000, directory="/b")
    files = {"/a/k": kubeconfig("https://127.0.0.1:3001"), "/b/k": kubeconfig("https://127.0.0.1:4001")}
    assert pids(clusters([*one, *two], files)) == {frozenset(range(100, 104)), frozenset(range(200, 204))}


def test_what_names_no_known_cluster_stands_alone_and_says_why() -> None:
    one, two = control_plane(100, 3000, directory="/a"), control_plane(200, 4000, directory="/b")
    files = {"/a/k": Denied("needs root to read /a/k"), "/b/k": kubeconfig("https://127.0.0.1:4001")}
    found = clusters([*one, *two], files)  # type: ignore[arg-type]
    assert pids(found) == {frozenset({100, 101, 103}), frozenset({102}), frozenset(range(200, 204))}
    (alone,) = [cluster for cluster in found if names(cluster) == ["kube-scheduler"]]
    assert alone.notes == ["whom kube-scheduler talks to is not known: needs root to read /a/k"]


def test_a_key_that_both_name_tells_a_controller_managers_api_server() -> None:
    servers = [
        process(1, "kube-apiserver", "--secure-port=1", "--service-account-key-file=/a/sa.key"),
        process(2, "kube-apiserver", "--secure-port=2", "--service-account-key-file=/b/sa.key"),
    ]
    client = process(3, "kube-controller-manager", "--service-account-private-key-file=/b/sa.key", "--kubeconfig=/k")
    assert pids(clusters([*servers, client])) == {frozenset({1}), frozenset({2, 3})}


def test_equal_clusters_in_networks_of_their_own_are_two() -> None:
    one, two = control_plane(100, 3000, directory="/a", net=7), control_plane(200, 3000, directory="/a", net=8)
    assert pids(clusters([*one, *two])) == {frozenset(range(100, 104)), frozenset(range(200, 204))}


def test_members_of_an_etcd_cluster_are_one() -> None:
    members = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3"
    etcds = [
        process(
            number,
            "etcd",
            f"--name={number}",
            f"--listen-peer-urls=http://127.0.0.1:{number}",
            f"--listen-client-urls=http://127.0.0.1:{100 + number}",
            f"--initial-cluster={members}",
            f"--data-dir=/d{number}",
        )
        for number in (1, 2, 3)
    ]
    stray = process(9, "etcd", "--listen-peer-urls=http://127.0.0.1:9", "--listen-client-urls=http://127.0.0.1:109")
    assert pids(clusters([*etcds, stray])) == {frozenset({1, 2, 3}), frozenset({9})}


def test_an_etcd_of_somebody_else_stays_alone_beside_a_whole_cluster() -> None:
    stray = process(9, "etcd", "--listen-client-urls=http://127.0.0.1:9", "--data-dir=/other")
    assert pids(clusters([*control_plane(100, 3000, directory="/a"), stray])) == {
        frozenset(range(100, 104)),
        frozenset({9}),
    }


def test_an_etcd_here_is_not_that_of_an_api_server_whose_etcd_is_elsewhere() -> None:
    api = process(1, "kube-apiserver", "--etcd-servers=https://10.0.0.9:2379")
    etcd = process(2, "etcd", "--listen-client-urls=http://127.0.0.1:2379")
    assert pids(clusters([api, etcd])) == {frozenset({1}), frozenset({2})}


def test_what_has_lost_its_api_server_is_still_one_cluster() -> None:
    argv = faults("node", "baseline-healthy")
    del argv["kube-apiserver"]
    (found,) = clusters(processes_of(argv))
    assert names(found) == sorted(argv)


# --- runtimes ---------------------------------------------------------------------------------------------------------


DOCKER = process(10, "/usr/bin/dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock")
CONTAINERD = process(11, "/usr/bin/containerd")


def test_docker_alone_is_no_cluster() -> None:
    (found,) = clusters([DOCKER, CONTAINERD])
    assert is_docker(found)
    own = process(12, "containerd", "--config", "/var/run/docker/containerd/containerd.toml", parent=10)
    (found,) = clusters([process(10, "dockerd"), own])
    assert is_docker(found)


def test_docker_beside_a_cluster_is_not_the_clusters() -> None:
    found = clusters([*control_plane(100, 3000, directory="/a"), DOCKER, CONTAINERD])
    assert pids(found) == {frozenset(range(100, 104)), frozenset({10, 11})}


def test_a_kubelet_that_uses_dockers_containerd_takes_it() -> None:
    kubelet = process(1, "kubelet", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock")
    assert pids(clusters([kubelet, DOCKER, CONTAINERD])) == {frozenset({1, 11}), frozenset({10})}


def test_cri_dockerd_links_kubelet_and_docker() -> None:
    kubelet = process(1, "kubelet", "--container-runtime-endpoint=unix:///var/run/cri-dockerd.sock")
    cri = process(2, "cri-dockerd", "--container-runtime-endpoint", "fd://")
    (found,) = clusters([kubelet, cri, DOCKER, CONTAINERD])
    assert names(found) == ["containerd", "cri-dockerd", "dockerd", "kubelet"]


def test_of_two_runtimes_the_kubelet_has_the_one_its_file_names() -> None:
    kubelet = process(1, "kubelet", "--config=/k.yaml")
    crio = process(2, "crio")
    files = {"/k.yaml": "containerRuntimeEndpoint: unix:///var/run/crio/crio.sock"}
    assert pids(clusters([kubelet, crio, CONTAINERD], files)) == {frozenset({1, 2}), frozenset({11})}


def test_k0s_and_what_it_started_are_one_beside_docker() -> None:
    k0s = process(5, "/usr/local/bin/k0s", "controller", "--single")
    children = [
        process(2, "/opt/data/bin/kube-apiserver", "--etcd-servers=unix:/run/kine.sock", parent=5),
        process(3, "/opt/data/bin/containerd", "--address=/run/mine.sock", parent=5),
        process(4, "/opt/data/bin/kubelet", "--container-runtime-endpoint=unix:///run/mine.sock", parent=5),
    ]
    assert pids(clusters([k0s, *children, DOCKER, CONTAINERD])) == {frozenset({2, 3, 4, 5}), frozenset({10, 11})}


# --- containers -------------------------------------------------------------------------------------------------------


def test_coredns_in_a_pod_belongs_to_the_node_that_its_shim_is_on() -> None:
    shim = process(50, "/usr/bin/containerd-shim-runc-v2", "-id", "x")
    coredns = process(51, "/coredns", "-conf", "/etc/coredns/Corefile", parent=50, net=77, mnt=78)
    plane = control_plane(100, 3000, directory="/a")
    assert pids(clusters([*plane, shim, coredns])) == {frozenset({51, *range(100, 104)})}


def test_an_application_with_an_etcd_of_its_own_in_a_pod_stays_alone() -> None:
    shim = process(50, "/usr/bin/containerd-shim-runc-v2", "-id", "x")
    etcd = process(51, "etcd", "--data-dir=/data", parent=50, net=77, mnt=78)
    found = clusters([*control_plane(100, 3000, directory="/a"), shim, etcd])
    assert pids(found) == {frozenset(range(100, 104)), frozenset({51})}


def test_a_clusters_components_that_we_may_not_look_into_are_one_by_their_container() -> None:
    container = f"/docker/{'a' * 64}"
    found = clusters(
        [
            process(1, "etcd", "--data-dir=/var/lib/etcd", seen=False, cgroup=f"{container}/kubelet/pod1/{'b' * 64}"),
            process(2, "kube-apiserver", "--etcd-servers=https://127.0.0.1:2379", seen=False, cgroup=container),
            process(3, "kube-scheduler", "--kubeconfig=/k", seen=False, cgroup=f"/docker/{'c' * 64}"),
        ]
    )
    assert pids(found) == {frozenset({1, 2}), frozenset({3})}


# --- clusters that were known before ----------------------------------------------------------------------------------


def known(name: str, pid: int, home: str, *flags: str) -> Found:
    return Found(instance=Instance(name=name, source="", pid=pid, argv=(name, *flags)), home=home, files=home)


def test_what_runs_in_the_network_of_a_known_cluster_joins_it() -> None:
    ours = [known("kube-apiserver", 1, "net 7"), known("etcd", 2, "net 7")]
    found = clusters([process(9, "kubelet", net=7), process(8, "kubelet", net=9)], given=[ours])
    assert pids(found) == {frozenset({1, 2, 9}), frozenset({8})}
    assert [cluster.given for cluster in found] == [0, -1]


def test_known_clusters_are_never_joined_even_when_one_uses_the_others_etcd() -> None:
    one = [known("etcd", 1, "ours", "--listen-client-urls=http://127.0.0.1:5", "--data-dir=/d")]
    two = [
        known("kube-apiserver", 2, "ours", "--etcd-servers=http://127.0.0.1:5"),
        known("etcd", 3, "ours", "--data-dir=/d"),
    ]
    assert pids(clusters([], given=[one, two])) == {frozenset({1}), frozenset({2, 3})}


# --- anything ---------------------------------------------------------------------------------------------------------


PORTS = st.integers(1, 4)
URLS = PORTS.map(lambda port: f"http://127.0.0.1:{port}")
COMPONENTS = st.one_of(
    st.tuples(
        st.just("etcd"), URLS.map(lambda url: f"--listen-client-urls={url}"), st.sampled_from(["--data-dir=/d", ""])
    ),
    st.tuples(
        st.just("kube-apiserver"),
        URLS.map(lambda url: f"--etcd-servers={url}"),
        PORTS.map(lambda n: f"--secure-port={n}"),
    ),
    st.tuples(st.sampled_from(["kube-scheduler", "kubelet", "kube-proxy"]), URLS.map(lambda url: f"--master={url}")),
    st.tuples(
        st.sampled_from(["kubelet"]),
        st.sampled_from(["--container-runtime-endpoint=/run/a", "--kubeconfig=/etc/kubernetes/kubelet.conf"]),
    ),
    st.tuples(st.sampled_from(["containerd", "dockerd", "cri-dockerd", "crio", "coredns", "k3s server", "kwok"])),
    st.tuples(st.just("containerd"), st.sampled_from(["--address=/run/a", "--address=/run/k3s/c"])),
    st.tuples(st.just("k0s"), st.just("controller")),
    st.tuples(st.just("kube-apiserver"), st.text(max_size=20)),
)


@st.composite
def machines(draw: st.DrawFn) -> list[Process]:
    drawn = draw(st.lists(st.tuples(COMPONENTS, st.integers(1, 3), st.integers(1, 3), st.booleans()), max_size=12))
    pids = list(range(10, 10 + len(drawn)))
    return [
        process(pid, *filter(None, argv), net=net, mnt=mnt, seen=seen, parent=draw(st.sampled_from([1, *pids])))
        for pid, (argv, net, mnt, seen) in zip(pids, drawn, strict=True)
    ]


@given(machines(), st.randoms(use_true_random=False))
def test_every_component_is_in_one_cluster_whatever_the_order(machine: list[Process], shuffle: random.Random) -> None:
    look: SharedLook = look_at(machine)
    found = list(find(look, known=frozenset()))
    ours = [known("kube-apiserver", 1, "ours"), known("etcd", 2, "net 2")]
    expected = pids(put_together(look, found, [ours]))
    assert sorted(pid for group in expected for pid in group) == sorted([1, 2, *(one.instance.pid for one in found)])
    shuffle.shuffle(found)
    assert pids(put_together(look, found, [ours])) == expected
