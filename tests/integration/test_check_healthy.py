"""Whole runs of `kubedoctor check` where nothing is wrong: no alarm, whoever made the cluster and whoever looks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from support import foreign
from support.boxes import Box, alarms, box, checked
from support.command import Kubedoctor
from support.guarded import one_directory
from support.person import Person, PersonsKubedoctor, install, interpreter, public_binaries

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(600),  # the first time binaries are built
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine of the test's own needs root"),
]

PERSON = Person(54321, 54322)
NEEDS_ANOTHER = "`up` would need another one for kube-apiserver"

Maker = Callable[[Box, Mapping[str, Path]], object]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as made:
        yield made


def command(machine: Box, binaries: Mapping[str, Path]) -> Kubedoctor:
    return machine.command(one_directory(machine.directory, binaries))


# --- nothing runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["off", "on"])
def test_on_a_bare_machine_a_cluster_can_start(machine: Box, binaries: Mapping[str, Path], node: str) -> None:
    cli = command(machine, binaries)
    done = cli("check", env={"KUBEDOCTOR_NODE": node})
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].endswith("a cluster can start here")
    seen = checked(cli, "--strict", env={"KUBEDOCTOR_NODE": node})
    assert (seen.status, seen.findings(), seen.blind()) == (0, [], {})
    assert [one["id"] for one in seen.report["targets"]] == ["machine"]
    assert seen.outcome("apiserver.port-taken") == "passed"


def test_a_port_that_no_cluster_has_is_in_the_way(machine: Box, binaries: Mapping[str, Path]) -> None:
    server = "import signal, socket; s = socket.create_server(('127.0.0.1', 6443)); print('ready', flush=True)"
    machine.python(f"{server}; signal.pause()")
    seen = checked(command(machine, binaries))
    assert (seen.status, seen.failed()) == (1, {"apiserver.port-taken"})
    assert "listens on port 6443, which kube-apiserver needs" in seen.message("apiserver.port-taken")


# --- our own ----------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_control_plane_of_ours(machine: Box, binaries: Mapping[str, Path]) -> None:
    cli = command(machine, binaries)
    cli.ok("up", "--no-node")
    seen = checked(cli, "--strict", cluster="local")
    assert (seen.status, seen.findings(), seen.blind()) == (0, [], {})
    assert alarms(seen.report) == []
    for check in ("etcd.unhealthy", "apiserver.not-ready", "controllers.not-working", "certs.expired"):
        assert seen.outcome(check) == "passed"

    # What another home runs is no alarm either, and its port is told.
    other = Kubedoctor(home=machine.directory / "other", bin_dir=cli.bin_dir, prefix=cli.prefix, env=cli.env)
    seen = checked(other, "--strict", cluster=f"local in {cli.home}")
    assert (seen.status, alarms(seen.report), seen.blind()) == (0, [], {})
    assert NEEDS_ANOTHER in seen.message("apiserver.port-taken")
    assert seen.outcome("certs.wrong-issuer") == "passed"


def test_nothing_is_wrong_with_a_node_of_ours(machine: Box, node_binaries: Mapping[str, Path]) -> None:
    cli = command(machine, node_binaries)
    cli.ok("up", "--node")
    try:
        seen = checked(cli, "--strict", cluster="local")
        assert (seen.status, seen.findings(), seen.blind()) == (0, [], {})
        assert alarms(seen.report) == []
        for check in ("runtime.not-answering", "cni.no-config", "proxy.kubernetes-service-missing", "host.swap"):
            assert seen.outcome(check) == "passed"
    finally:
        cli.ok("down")  # its cgroups do not end with the machine


# --- others' ----------------------------------------------------------------------------------------------------------


def by_local_up(machine: Box, binaries: Mapping[str, Path]) -> None:
    foreign.local_up(machine, binaries)


def by_kwokctl(machine: Box, binaries: Mapping[str, Path]) -> None:
    foreign.kwokctl(machine, binaries)


@pytest.mark.parametrize(
    ("make", "target", "title", "port"),
    [
        (by_local_up, "local-up-cluster", "cluster of local-up-cluster.sh", 6443),
        (by_kwokctl, "kwokctl kwok", "kwokctl cluster kwok", 32764),
    ],
)
def test_nothing_is_wrong_with_what_others_made(
    machine: Box, binaries: Mapping[str, Path], make: Maker, target: str, title: str, port: int
) -> None:
    make(machine, binaries)
    nothing_is_wrong(command(machine, binaries), target, title, port)


def nothing_is_wrong(cli: Kubedoctor, target: str, title: str, port: int) -> None:
    seen = checked(cli, "--strict", cluster=target)
    assert (seen.status, alarms(seen.report), seen.blind()) == (0, [], {})
    _, cluster = seen.report["targets"]
    assert (cluster["id"], cluster["title"], cluster["notes"]) == (target, f"{title}, API at port {port}", [])
    assert cluster["components"] == list(foreign.CONTROL_PLANE)
    for check in ("etcd.unhealthy", "apiserver.not-ready", "controllers.not-working", "scheduler.not-working"):
        assert seen.outcome(check) == "passed"
    for check in ("certs.san-missing", "certs.wrong-issuer", "certs.key-mismatch", "certs.expires-soon"):
        assert seen.outcome(check) == "passed"
    taken = seen.findings("apiserver.port-taken")
    assert [finding["severity"] for finding in taken] == (["info"] if port == 6443 else [])
    assert all(NEEDS_ANOTHER in str(finding["message"]) for finding in taken)


# --- an ordinary user -------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(binaries: Mapping[str, Path]) -> Iterator[Path]:
    """A directory that everybody can read, with the program and the binaries."""
    if not interpreter():
        pytest.skip("no Python of this version can be run by other users")
    directory = Path(tempfile.mkdtemp(prefix="tmp-healthy-"))
    directory.chmod(0o755)
    install(directory / "program")
    public_binaries(directory / "bin", binaries)
    yield directory
    shutil.rmtree(directory)


def persons(machine: Box, shared: Path) -> PersonsKubedoctor:
    return PERSON.command(shared, shared / "program", shared / "bin", prefix=machine.prefix)


def test_an_ordinary_user_sees_nothing_wrong_on_a_bare_machine_and_in_a_cluster_of_theirs(shared: Path) -> None:
    with box(shared) as machine:
        cli = persons(machine, shared)
        bare = checked(cli)
        assert (bare.status, bare.findings(), bare.blind()) == (
            0,
            [],
            {"proxy.leftover-rules": "needs CAP_NET_ADMIN"},
        )
        cli.ok("up", "--no-node")
        seen = checked(cli, "--strict", cluster="local")
        assert (seen.status, seen.findings(), seen.blind()) == (0, [], {})
        assert seen.outcome("certs.key-mismatch") == "passed"


SEEN_BY_ALL = {
    "apiserver.port-taken",
    "apiserver.advertise-loopback",
    "controllers.port-taken",
    "etcd.port-taken",
    "scheduler.port-taken",
}
"""What command lines alone tell of components that run."""


def passed(cli: Kubedoctor, target: str) -> tuple[set[str], dict[str, str]]:
    """Return the checks that a cluster has passed, and the reasons of those that could not look."""
    seen = checked(cli, cluster=target)
    assert (seen.status, alarms(seen.report)) == (0, [])
    results = [one for one in seen.report["results"] if one["target"] == target]
    assert {one["outcome"] for one in results} == {"passed", "unknown", "not-applicable"}
    unknown = {str(one["check"]): str(one["reason"]) for one in results if one["outcome"] == "unknown"}
    return {str(one["check"]) for one in results if one["outcome"] == "passed"}, unknown


def test_what_an_ordinary_user_cannot_see_of_roots_cluster_is_unknown(shared: Path) -> None:
    with box(shared) as machine:
        machine.command(shared / "bin").ok("up", "--no-node")
        well, unknown = passed(persons(machine, shared), f"local in {shared}/home")
    # It runs with --leader-elect=false, so there is no lease to be looked at.
    assert well == SEEN_BY_ALL | {"controllers.lease-held-elsewhere"}
    assert all(reason.startswith("needs root to ") for reason in unknown.values()), unknown
    assert {"certs.expired", "etcd.unhealthy", "apiserver.not-ready", "host.disk-full"} <= unknown.keys()


def test_nothing_is_wrong_with_kubeadms_cluster_and_what_an_ordinary_user_cannot_see_of_it_is_unknown(
    shared: Path, binaries: Mapping[str, Path], kubeadm: Path
) -> None:
    with box(shared) as machine:
        foreign.kubeadm(machine, kubeadm, binaries)
        nothing_is_wrong(machine.command(shared / "bin"), "kubeadm", "kubeadm cluster", 6443)
        cli = persons(machine, shared)
        well, unknown = passed(cli, "kubeadm")
        text = cli("check").out
    # Its ports, and etcd's metrics, are there for everybody on this machine.
    open_to_all = {"apiserver.not-ready", "etcd.unhealthy", "etcd.alarm-raised", "host.disk-full"}
    assert well == SEEN_BY_ALL | open_to_all
    assert all(reason.startswith("needs root to ") for reason in unknown.values()), unknown
    assert {"certs.expired", "certs.san-missing", "controllers.not-working", "binaries.version-skew"} <= unknown.keys()
    assert "needs root to read /etc/kubernetes/manifests" in text
    assert f"{len(unknown) + 1} unknown" in text  # with the one of the machine
