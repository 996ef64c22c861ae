"""An ordinary user's clusters: in a sandbox by a user namespace, and on the host where there is none to be had."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import no_user_namespaces
from support.command import Kubedoctor
from support.guarded import COMPONENTS, ETCD, free_port, identity_of, pids, place_of, refusal
from support.machine import difference, processes, snapshot
from support.person import Person, PersonsKubedoctor, install, interpreter, public_binaries

from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.identity import open_process, send, wait_gone
from kubedoctor.errors import KubedoctorError

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as other users"),
    pytest.mark.skipif(not interpreter(), reason="no Python of this version can be run by other users"),
]

NOBODY, STRANGER = Person(65534, 65534), Person(54321, 54322)  # the second one is in no passwd file


@pytest.fixture(scope="module")
def shared(binaries: dict[str, Path]) -> Iterator[Path]:
    """A directory that everybody can read, with the program and the binaries."""
    directory = Path(tempfile.mkdtemp(prefix="tmp-users-"))
    directory.chmod(0o755)
    install(directory / "program")
    public_binaries(directory / "bin", binaries)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def directory(shared: Path) -> Iterator[Path]:
    """A directory of one test, below which homes are."""
    own = Path(tempfile.mkdtemp(prefix="test-", dir=shared))
    own.chmod(0o755)
    before = snapshot(own)
    yield own
    assert difference(before, snapshot(own)) == {}
    shutil.rmtree(own)


def user(person: Person, directory: Path, prefix: tuple[str, ...] = ()) -> PersonsKubedoctor:
    shared = directory.parent
    return person.command(directory, shared / "program", shared / "bin", prefix)


@pytest.fixture
def cli(directory: Path) -> Iterator[PersonsKubedoctor]:
    command = user(STRANGER, directory)
    yield command
    command("down", "--all")


@pytest.fixture
def on_host(directory: Path) -> Iterator[PersonsKubedoctor]:
    """The program of a user who may not have user namespaces."""
    with no_user_namespaces.forbidden() as prefix:
        command = user(NOBODY, directory, prefix)
        yield command
        command("down", "--all")


def test_sandbox_of_an_ordinary_user_is_as_good_as_that_of_root(cli: PersonsKubedoctor) -> None:
    up = cli.ok("up", "--port", f"kube-apiserver.https={free_port()}")
    assert "in a sandbox" in up.err
    assert "note:" not in up.err
    status = cli.ok("status", "-o", "json").json
    assert status["places"][0]["kind"] == "sandbox"
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids(cli).values()} == {STRANGER.uid}
    assert cli.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
    assert "default" in cli.ok("kubectl", "get", "sa", "default").out
    assert "kube-apiserver" in cli.ok("logs", "kube-apiserver").out
    before = pids(cli)
    cli.ok("restart", "kube-scheduler")
    assert [name for name in COMPONENTS if pids(cli)[name] != before[name]] == ["kube-scheduler"]
    inside = cli.ok("enter", "cat", "/proc/1/comm", "/proc/sys/kernel/hostname").out
    assert inside == "kd-supervisor\nlocal\n"
    inside_kubectl = cli.ok("enter", str(cli.bin_dir / "kubectl"), "get", "--raw", "/readyz").out
    assert inside_kubectl == "ok"
    cli.ok("down")
    assert processes(cli.home) == []
    cli.ok("down", "--delete")
    assert list((cli.home / "clusters").iterdir()) == []


@pytest.mark.parametrize("victim", ["keeper", "supervisor"])
def test_nothing_of_a_user_outlives_keeper_or_supervisor(cli: PersonsKubedoctor, victim: str) -> None:
    cli.ok("up", *ETCD)
    _nothing_outlives(cli, victim)
    cli.ok("up", *ETCD)
    assert pids(cli)["etcd"]


def _nothing_outlives(cli: PersonsKubedoctor, victim: str) -> None:
    handles = [open_process(identity_of(cli, name)) for name in pids(cli)]
    assert send(identity_of(cli, victim), signal.SIGKILL)
    deadline = time.monotonic() + 2
    for handle in handles:
        assert handle is not None
        assert wait_gone(handle, max(0.0, deadline - time.monotonic()))
        os.close(handle)


def test_clusters_of_several_users_do_not_meet(directory: Path, tmp_path: Path) -> None:
    first, second = user(NOBODY, directory), user(STRANGER, directory)
    root = Kubedoctor(home=tmp_path / "home", bin_dir=first.bin_dir)
    try:
        for command in (first, second, root):
            command.ok("up", *ETCD)
        owners = [{Path(f"/proc/{pid}").stat().st_uid for pid in pids(command).values()} for command in (first, second)]
        assert owners == [{NOBODY.uid}, {STRANGER.uid}]
        listed = [command.ok("clusters", "-o", "json").json["clusters"] for command in (first, second, root)]
        assert [len(clusters) for clusters in listed] == [1, 1, 1]
        second.ok("down")
        first.ok("status")
        root.ok("status")
    finally:
        for command in (first, second, root):
            command("down", "--all")


def test_root_cluster_is_not_an_ordinary_users_to_command(directory: Path, cli: PersonsKubedoctor) -> None:
    root = Kubedoctor(home=directory / "roots", bin_dir=cli.bin_dir)
    try:
        root.ok("up", *ETCD)
        before = pids(root)
        as_other = {"KUBEDOCTOR_HOME": str(root.home)}
        for command in (("down",), ("stop", "etcd"), ("up", *ETCD), ("status",), ("enter", "true")):
            said = refusal(cli(*command, env=as_other))
            assert "ermission denied" in said
            assert "run as the user it belongs to" in said
        socket = place_of(root).socket
        assert cli.plain("cat", str(place_of(root).plan)).status != 0
        assert cli.plain("ls", str(socket)).status != 0
        assert pids(root) == before
        with ControlClient(socket) as keeper:
            assert keeper.request("status")["place"]["phase"] == "ready"
    finally:
        root("down")


def test_root_does_not_use_a_directory_of_an_ordinary_user(cli: PersonsKubedoctor, tmp_path: Path) -> None:
    cli.ok("up", *ETCD)
    root = Kubedoctor(home=cli.home, bin_dir=cli.bin_dir, cwd=tmp_path)
    assert f"belongs to user {STRANGER.uid}" in refusal(root("up", *ETCD))
    assert cli.ok("status").status == 0


def test_user_namespaces_forbidden_the_control_plane_runs_on_the_host(on_host: PersonsKubedoctor) -> None:
    up = on_host.ok("up")
    notes = [line for line in up.err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "the control plane runs on the host" in notes[0]
    assert "user.max_user_namespaces=0: sysctl -w user.max_user_namespaces=15000" in notes[0]
    assert on_host.ok("kubectl", "get", "--raw", "/readyz").out == "ok"
    assert on_host.ok("status", "-o", "json").json["places"][0]["kind"] == "host"
    on_host.ok("restart", "kube-scheduler")
    on_host.ok("down")
    assert processes(on_host.home) == []


@pytest.mark.parametrize("victim", ["keeper", "supervisor"])
def test_nothing_on_the_host_outlives_keeper_or_supervisor(on_host: PersonsKubedoctor, victim: str) -> None:
    on_host.ok("up", *ETCD)
    _nothing_outlives(on_host, victim)
    on_host.ok("up", *ETCD)
    assert pids(on_host)["etcd"]


def test_nobody_may_reach_the_control_socket_of_another(cli: PersonsKubedoctor) -> None:
    cli.ok("up", *ETCD)
    socket = place_of(cli).socket
    with ControlClient(socket) as keeper:  # root may
        assert keeper.request("status")["place"]["phase"] == "ready"
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY.gid)
            os.setuid(NOBODY.uid)
            ControlClient(socket)
        except (KubedoctorError, OSError):
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
