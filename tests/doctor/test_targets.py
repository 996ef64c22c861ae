"""What is looked at on a machine: the machine, our clusters, every other, and an API somebody named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layouts import Content, faults, kubeconfig, look_at, process, processes_of

from kubedoctor.doctor.discovery.sharing import Sharing
from kubedoctor.doctor.targets import discover, unique
from kubedoctor.facts import Absent, Denied
from kubedoctor.host import Process, user_name
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.targets import Instance, Target, TargetKind

PLANNED = Instance(name="etcd", source="what `up` would start", argv=("etcd",), planned=True)
MACHINE = Target(id="machine", kind=TargetKind.MACHINE, title="this machine", instances=(PLANNED,), notes=("a note",))
LOCAL_UP = {
    "etcd": [
        "etcd",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--data-dir=/tmp/tmp.Ab12Cd34Ef",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://localhost:0",
        "--log-level=warn",
    ],
    "kube-apiserver": [
        "/go/src/k8s.io/kubernetes/_output/local/bin/linux/amd64/kube-apiserver",
        "--authorization-mode=Node,RBAC",
        "--audit-policy-file=/tmp/local-up-cluster.sh.Xy12Zq/kube-audit-policy-file",
        "--cert-dir=/var/run/kubernetes",
        "--service-account-key-file=/tmp/local-up-cluster.sh.Xy12Zq/kube-serviceaccount.key",
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
    ],
    "kube-controller-manager": [
        "/go/src/k8s.io/kubernetes/_output/local/bin/linux/amd64/kube-controller-manager",
        "--service-account-private-key-file=/tmp/local-up-cluster.sh.Xy12Zq/kube-serviceaccount.key",
        "--kubeconfig",
        "/var/run/kubernetes/controller.kubeconfig",
        "--master=https://localhost:6443",
    ],
    "kube-scheduler": [
        "/go/src/k8s.io/kubernetes/_output/local/bin/linux/amd64/kube-scheduler",
        "--config=/tmp/local-up-cluster.sh.Xy12Zq/kube-scheduler.yaml",
        "--master=https://localhost:6443",
    ],
    "kubelet": [
        "/go/src/k8s.io/kubernetes/_output/local/bin/linux/amd64/kubelet",
        "--bootstrap-kubeconfig=/var/run/kubernetes/kubelet.kubeconfig",
        "--kubeconfig=/var/run/kubernetes/kubelet-rotated.kubeconfig",
        "--config=/tmp/local-up-cluster.sh.Xy12Zq/kubelet.yaml",
    ],
    "containerd": ["/usr/bin/containerd"],
}


def found(
    processes: Sequence[Process],
    files: Mapping[str, Content] | None = None,
    ours: Sequence[Target] = (),
    **machine: object,
) -> tuple[Target, ...]:
    return discover(look_at(processes, files, **machine), ours)  # type: ignore[arg-type]


# --- the machine ------------------------------------------------------------------------------------------------------


def test_a_machine_with_nothing_is_one_target() -> None:
    (machine,) = found([process(1, "/sbin/init"), process(2, "bash")])
    assert (machine.id, machine.kind, machine.title) == (
        "machine",
        TargetKind.MACHINE,
        "box, Linux 6.1.0, Debian GNU/Linux 12",
    )
    assert (machine.instances, machine.notes) == ((), ())


def test_the_machine_comes_first_with_what_up_would_start_there() -> None:
    machine, other = found([process(1, "etcd")], ours=[MACHINE])
    assert (machine.id, machine.instances, machine.notes) == ("machine", (PLANNED,), ("a note",))
    assert other.id == "other :2379"


def test_docker_without_a_kubelet_is_a_note_of_the_machine() -> None:
    (machine,) = found([process(1, "dockerd"), process(2, "containerd")])
    assert machine.notes == ("Docker runs here without a kubelet: it is not looked at",)


# --- clusters of others -----------------------------------------------------------------------------------------------


def test_local_up_cluster_is_one_target_with_its_administrators_kubeconfig() -> None:
    admin = "/var/run/kubernetes/admin.kubeconfig"
    _, target = found(processes_of(LOCAL_UP), {admin: kubeconfig("https://localhost:6443")})
    assert (target.id, target.kind, target.kubeconfig) == ("local-up-cluster", TargetKind.LOCAL_UP_CLUSTER, admin)
    assert target.title == "cluster of local-up-cluster.sh, API at port 6443"
    assert [one.name for one in target.instances] == [*list(LOCAL_UP)[:4], "containerd", "kubelet"]
    assert target.notes == ()


def test_what_local_up_cluster_left_behind_is_known_as_its() -> None:
    _, target = found(processes_of({"etcd": LOCAL_UP["etcd"]}))
    assert (target.id, target.title) == ("local-up-cluster", "cluster of local-up-cluster.sh, etcd at port 2379")


def test_a_cluster_started_by_hand_is_named_by_its_port() -> None:
    _, target = found(processes_of(faults("node", "baseline-healthy")))
    assert (target.id, target.kind) == ("other :6443", TargetKind.OTHER)
    assert target.title == "cluster started by hand, API at port 6443"
    assert (target.kubeconfig, target.notes) == ("", ())


def test_parts_of_a_cluster_are_named_by_what_they_are() -> None:
    ids = [one.id for one in found([process(1, "etcd", "--listen-client-urls=http://127.0.0.1:5"), process(2, "crio")])]
    assert ids == ["machine", "other :5", "other crio"]


def test_a_kubeconfig_that_may_not_be_read_is_noted() -> None:
    refused = Denied("needs root to read /var/run/kubernetes/admin.kubeconfig")
    _, target = found(processes_of(LOCAL_UP), {"/var/run/kubernetes/admin.kubeconfig": refused})
    assert target.kubeconfig == ""
    assert target.notes == ("the API is not asked: needs root to read /var/run/kubernetes/admin.kubeconfig",)


def test_processes_that_we_may_not_look_into_are_a_target_with_a_note() -> None:
    shared = {number: Sharing(root=True, net=True) for number in range(100, 106)}
    _, target = found(processes_of(LOCAL_UP, seen=False, uid=0), shared=shared)
    assert target.id == "local-up-cluster"
    assert {(one.root, one.net) for one in target.instances} == {(0, 0)}
    names = "containerd, etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet"
    assert f"needs root to look into {names}: their environment, files and network are not seen" in target.notes


def test_what_cannot_be_told_of_a_process_stays_its_own() -> None:
    _, target = found([process(7, "etcd", seen=False)])
    (etcd,) = target.instances
    assert (etcd.root, etcd.net) == (7, 7)


def test_components_in_one_network_are_entered_by_one_process() -> None:
    machine = [process(8, "etcd", net=5, mnt=6), process(7, "kube-apiserver", net=5, mnt=7)]
    _, target = found(machine)
    assert {(one.pid, one.root, one.net) for one in target.instances} == {(8, 8, 7), (7, 7, 7)}


def test_a_zombie_is_no_component() -> None:
    assert len(found([process(1, "etcd", state="Z")])) == 1


def test_foreign_text_in_a_name_cannot_steer_a_terminal() -> None:
    words = ["etcd", "--data-dir=/x/clusters/\x1b[31m\n/etcd", "--name=\x1b[0m"]
    argv = [
        [*words, "--listen-client-urls=http://127.0.0.1:1"],
        [*words[:1], words[2], "--listen-client-urls=http://127.0.0.1:1"],
    ]
    targets = found([process(1, *argv[0]), process(2, *argv[1], net=9), process(3, *argv[1], net=8)])
    assert all(one.id.isprintable() and one.title.isprintable() for one in targets)


# --- clusters of ours -------------------------------------------------------------------------------------------------


def ours(name: str, *instances: Instance, **fields: str) -> Target:
    return Target(id=name, kind=TargetKind.KUBEDOCTOR, title=f"cluster {name}", instances=instances, **fields)  # type: ignore[arg-type]


def test_a_cluster_of_ours_is_told_by_its_processes_before_its_files() -> None:
    planned = Instance(name="etcd", source="process 5", pid=5, argv=("etcd", "--old"), root=4, net=4, log="/l")
    running = process(5, "/bin/etcd", "--new", net=7, mnt=7, environment={"ETCD_NAME": "x"}, uid=12)
    (_, target) = found([running, process(4, "kd-supervisor", net=7, mnt=7)], ours=[MACHINE, ours("local", planned)])
    (etcd,) = target.instances
    assert (etcd.argv, etcd.environment, etcd.uid) == (("/bin/etcd", "--new"), {"ETCD_NAME": "x"}, 12)
    assert (etcd.root, etcd.net, etcd.log, etcd.started) == (4, 4, "/l", 1005.0)


def test_a_component_of_ours_that_ended_meanwhile_does_not_run() -> None:
    (_, target) = found([], ours=[MACHINE, ours("local", Instance(name="etcd", source="process 5", pid=5, state="S"))])
    (etcd,) = target.instances
    assert (etcd.pid, etcd.state, etcd.is_running) == (0, "", False)


def test_what_else_runs_in_a_sandbox_of_ours_belongs_to_it() -> None:
    api = Instance(name="kube-apiserver", source="process 5", pid=5, argv=("kube-apiserver",), root=4, net=4)
    machine = [process(4, "kd-supervisor", net=7), process(5, "kube-apiserver", net=7), process(6, "kubelet", net=7)]
    (_, target) = found([*machine], ours=[MACHINE, ours("local", api)])
    assert [(one.name, one.pid) for one in target.instances] == [("kube-apiserver", 5), ("kubelet", 6)]


def test_a_cluster_of_ours_that_does_not_run_draws_nothing_to_it() -> None:
    api = Instance(name="kube-apiserver", source="plan of cluster local", argv=("kube-apiserver",))
    _, target, other = found([process(6, "kubelet")], ours=[MACHINE, ours("local", api)])
    assert [one.name for one in target.instances] == ["kube-apiserver"]
    assert other.id == "other kubelet"


def test_a_cluster_of_somebody_elses_kubedoctor_is_known_by_where_it_is() -> None:
    home = "/home/dev/.local/state/kubedoctor"
    place = f"{home}/clusters/local/places/node-1"
    machine = [
        process(1, "/opt/etcd", f"--data-dir={place}/data/etcd", net=7, uid=1000),
        process(2, "/opt/kube-scheduler", f"--kubeconfig={home}/clusters/local/kubeconfig/scheduler", net=7, uid=1000),
        process(
            3,
            "/opt/mine",
            net=7,
            environment={"KUBEDOCTOR_INSTANCE": "x"},
            executable="/opt/kube-proxy",
            directory=place,
        ),
    ]
    _, target = found(machine, {f"{home}/clusters/local/kubeconfig/admin": kubeconfig("https://127.0.0.1:6443")})
    assert (target.id, target.kind, target.directory) == (
        f"local in {home}",
        TargetKind.KUBEDOCTOR,
        f"{home}/clusters/local",
    )
    assert target.title == f"cluster local of {user_name(1000)}, in {home}"
    assert target.kubeconfig == f"{home}/clusters/local/kubeconfig/admin"
    assert len(target.instances) == 3


# --- an API somebody named --------------------------------------------------------------------------------------------


API = Target(id="api /k", kind=TargetKind.API, title="API of /k", kubeconfig="/k")


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443", "https://localhost:6443", "https://192.168.7.7:6443"])
def test_a_kubeconfig_of_a_cluster_that_was_found_belongs_to_it(server: str) -> None:
    files = {"/k": kubeconfig(server)}
    targets = found(processes_of(LOCAL_UP), files, [MACHINE, API], addresses=("127.0.0.1", "192.168.7.7"))
    assert [(one.id, one.kubeconfig) for one in targets] == [("machine", ""), ("local-up-cluster", "/k")]


@pytest.mark.parametrize("server", ["https://127.0.0.1:6444", "https://10.0.0.9:6443", "https://[fd00::1]:6443"])
def test_a_kubeconfig_that_leads_elsewhere_is_a_target_of_its_own(server: str) -> None:
    *_, api = found(processes_of(LOCAL_UP), {"/k": kubeconfig(server)}, [MACHINE, API])
    assert (api.id, api.kind, api.kubeconfig) == (f"api {server.removeprefix('https://')}", TargetKind.API, "/k")


def test_a_kubeconfig_of_a_cluster_of_ours_is_known_by_its_published_address() -> None:
    files = {"/k": kubeconfig("https://127.0.0.1:16443"), "/admin": kubeconfig("https://127.0.0.1:16443")}
    _, target = found([], files, [MACHINE, ours("local", kubeconfig="/admin"), API])
    assert (target.id, target.kubeconfig) == ("local", "/k")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Absent("/k does not exist"), "/k does not exist"),
        ("a: [b", "/k is not YAML: line 1"),
        ("{}", "/k: no current-context is set"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_so(content: Content, reason: str) -> None:
    *_, api = found([], {"/k": content}, [MACHINE, API])
    assert (api.id, api.kind) == ("api /k", TargetKind.API)
    assert api.notes[0].startswith(f"the API is not asked: {reason.partition(':')[0]}")


# --- ids --------------------------------------------------------------------------------------------------------------


def test_ids_stay_the_same_when_pids_change() -> None:
    first = found([*processes_of(LOCAL_UP), process(7, "etcd", "--listen-client-urls=http://127.0.0.1:5")])
    again = found([process(6, "etcd", "--listen-client-urls=http://127.0.0.1:5"), *processes_of(LOCAL_UP, first=500)])
    assert [one.id for one in first] == [one.id for one in again] == ["machine", "local-up-cluster", "other :5"]


def test_a_cluster_named_machine_has_an_id_of_its_own() -> None:
    assert [one.id for one in found([], ours=[MACHINE, ours("machine"), ours("kubeadm")])] == [
        "machine",
        "machine #2",
        "kubeadm",
    ]


@given(st.lists(st.tuples(st.sampled_from(["a", "a #2", "a #1", "machine"]), st.sampled_from(TargetKind)), max_size=6))
def test_ids_are_unique_whatever_they_were(drawn: list[tuple[str, TargetKind]]) -> None:
    targets = [Target(id=name, kind=kind, title="") for name, kind in drawn]
    ids = [one.id for one in unique(targets)]
    assert len(set(ids)) == len(ids) == len(targets)


# --- anything ---------------------------------------------------------------------------------------------------------


WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["--etcd-servers=https://[::1", "--data-dir=", "--secure-port=99999", "--config=/x", "--config=x"]),
    st.sampled_from(
        ["--kubeconfig=/x", "--listen-client-urls=,,,", "--initial-cluster==,=", "--bind-address=::", "-c", "--"]
    ),
)
NAMES = st.sampled_from(
    [
        "etcd",
        "kube-apiserver",
        "kubelet",
        "containerd",
        "crio",
        "k3s server",
        "k3s",
        "k0s",
        "kube-proxy",
        "dockerd",
        "kwok",
    ]
)
FILES = st.one_of(st.binary(max_size=60), st.text(max_size=60), st.just(Denied("needs root to read /x")))


@given(st.lists(st.tuples(NAMES, st.lists(WORDS, max_size=5), st.booleans()), max_size=6), FILES)
def test_any_command_lines_and_files_come_to_targets_that_can_be_recorded(
    machine: list[tuple[str, list[str], bool]], content: Content
) -> None:
    processes = [
        process(number, name, *[word.replace("\0", "") for word in words], seen=seen)
        for number, (name, words, seen) in enumerate(machine, 10)
    ]
    paths = ("/x", "/k.yaml", "/etc/kubernetes/manifests/a.yaml", "/etc/rancher/k3s/config.yaml")
    targets = found(processes, dict.fromkeys(paths, content))
    assert targets[0].id == "machine"
    assert len({one.id for one in targets}) == len(targets)
    for target in targets:
        assert from_json(Target, to_json(target)) == target
