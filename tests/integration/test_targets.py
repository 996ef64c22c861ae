"""What is found on a machine where real clusters run: ours, another user's, and one started by hand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.clusters import commands, eventually, free_port
from support.command import Kubedoctor
from support.guarded import COMPONENTS, ETCD, identity_of, pids
from support.person import Person, PersonsKubedoctor, install, interpreter, public_binaries

from kubedoctor.cli.targets import known_targets
from kubedoctor.cluster.identity import open_process, send, wait_gone
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.targets import discover
from kubedoctor.plugins import load
from kubedoctor.targets import Target, TargetKind

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees, and can be, everybody")
PERSON, STRANGER = Person(54321, 54322), Person(54323, 54324)


def targets(cli: Kubedoctor, monkeypatch: pytest.MonkeyPatch) -> dict[str, Target]:
    """Return what is found, by id, by somebody who has the home of *cli*."""
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(cli.home))
    monkeypatch.chdir(cli.home.parent)
    ours = known_targets(load(), flags={}, environment={})
    return {one.id: one for one in discover(SharedLook(), ours)}


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as command:
        yield command


# --- our own ----------------------------------------------------------------------------------------------------------


def test_a_cluster_of_ours_is_a_target_until_it_is_brought_down(
    cli: Kubedoctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("up", "--no-node")
    found = targets(cli, monkeypatch)
    assert found["machine"].instances == ()
    cluster, running = found["local"], pids(cli)
    assert (cluster.kind, cluster.notes) == (TargetKind.KUBEDOCTOR, ())
    assert {one.name: one.pid for one in cluster.instances} == running
    supervisor = identity_of(cli, "supervisor").pid
    assert {(one.root, one.net) for one in cluster.instances} == {(supervisor, supervisor)}
    etcd = cluster.first("etcd")
    assert etcd is not None
    assert etcd.executable == str((cli.bin_dir / "etcd").resolve())
    assert (etcd.state, etcd.uid) == ("S", os.geteuid())
    assert Path(etcd.log).exists()
    assert Path(cluster.kubeconfig).exists()

    cli.ok("stop", "kube-scheduler")
    stopped = targets(cli, monkeypatch)["local"]
    assert stopped.first("kube-scheduler") is None
    assert stopped.notes == ("kube-scheduler does not run: somebody has stopped it",)

    cli.ok("down")
    found = targets(cli, monkeypatch)
    assert "local" not in found
    planned = {one.name for one in found["machine"].instances if one.planned}
    assert planned >= set(COMPONENTS)


@pytest.mark.parametrize("victim", ["keeper", "supervisor"])
def test_a_cluster_that_nobody_brought_down_should_run(
    cli: Kubedoctor, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    cli.ok("up", *ETCD)
    gone = [open_process(identity_of(cli, name)) for name in ("keeper", "supervisor", "etcd")]
    assert send(identity_of(cli, victim), signal.SIGKILL)
    for handle in gone:
        assert handle is not None
        assert wait_gone(handle, 5)
        os.close(handle)
    cluster = targets(cli, monkeypatch)["local"]
    (etcd,) = cluster.instances
    assert (etcd.pid, etcd.source) == (0, "plan of cluster local")
    assert cluster.notes[0].startswith("cluster local does not run: ")
    cli.ok("down")
    assert "local" not in targets(cli, monkeypatch)


def test_what_others_listen_on_is_in_the_way_only_of_what_is_published(cli: Kubedoctor) -> None:
    with ExitStack() as stack:
        for port in (2379, 10259):
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
                taken.listen()
            except OSError:  # somebody's on this machine, which does as well
                continue
        api = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        taken_port = {"API_SECURE_PORT": str(api.getsockname()[1])}
        results = cli("check", "*.port-taken", "--phase", "preflight", "-o", "json", env=taken_port).json["results"]
    assert {one["check"] for one in results if one["outcome"] == "failed" and one["target"] == "machine"} == {
        "apiserver.port-taken"
    }


# --- other users' -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(binaries: dict[str, Path]) -> Iterator[Path]:
    """A directory that everybody can read, with the program and the binaries."""
    if os.geteuid() != 0 or not interpreter():
        pytest.skip("only root can run a command as other users, with a Python that they can run")
    directory = Path(tempfile.mkdtemp(prefix="tmp-targets-"))
    directory.chmod(0o755)
    install(directory / "program")
    public_binaries(directory / "bin", binaries)
    yield directory
    shutil.rmtree(directory)


def person(shared: Path, stack: ExitStack, who: Person) -> PersonsKubedoctor:
    directory = Path(tempfile.mkdtemp(prefix="test-", dir=shared))
    directory.chmod(0o755)
    command = who.command(directory, shared / "program", shared / "bin")
    stack.callback(command, "down", "--all")
    return command


def seen(cli: Kubedoctor) -> dict[str, Any]:
    """Return the targets in the report of a check, by id."""
    return {one["id"]: one for one in cli("check", "-o", "json").json["targets"]}


def test_an_ordinary_user_sees_their_own_cluster_whole_and_that_of_another_by_its_surface(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        owner, other = person(shared, stack, PERSON), person(shared, stack, STRANGER)
        owner.ok("up", "--no-node", "--port", f"kube-apiserver.https={free_port()}")
        own = seen(owner)["local"]
        assert (own["kind"], own["components"], own["notes"]) == ("kubedoctor", list(COMPONENTS), [])

        theirs = seen(other)[f"local in {owner.home}"]
        assert (theirs["kind"], theirs["components"]) == ("kubedoctor", list(COMPONENTS))
        assert theirs["notes"][0].startswith("needs root to look into etcd, kube-apiserver, ")

        for_root = targets(Kubedoctor(home=shared / "none", bin_dir=shared / "bin"), monkeypatch)
        cluster = for_root[f"local in {owner.home}"]
        assert {one.name: one.pid for one in cluster.instances} == pids(owner)
        assert {one.uid for one in cluster.instances} == {PERSON.uid}
        assert (cluster.notes, len({one.net for one in cluster.instances})) == ((), 1)
        assert cluster.kubeconfig == f"{owner.home}/clusters/local/kubeconfig/admin"


# --- started by hand --------------------------------------------------------------------------------------------------


@ROOT
def test_an_api_server_and_an_etcd_started_by_hand_are_one_target(
    tmp_path: Path, binaries: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "sa.key"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    key.write_bytes(pem)
    renamed = tmp_path / "my-store"  # known by its flags alone
    shutil.copyfile(binaries["etcd"].resolve(), renamed)
    renamed.chmod(0o755)
    etcd = [renamed, "--listen-client-urls=http://127.0.0.1:12379", "--advertise-client-urls=http://127.0.0.1:12379"]
    etcd += ["--listen-peer-urls=http://127.0.0.1:12380", "--data-dir", tmp_path / "data"]
    api = [binaries["kube-apiserver"].resolve(), "--etcd-servers=http://127.0.0.1:12379", "--secure-port=16443"]
    api += [f"--service-account-{name}-file={key}" for name in ("key", "signing-key")]
    api += ["--service-account-issuer=x", f"--cert-dir={tmp_path}", "--service-cluster-ip-range=10.0.0.0/24"]
    api += ["--advertise-address=198.18.0.9"]  # there is no default route to take one from
    log = (tmp_path / "log").open("w")
    with log, ExitStack() as stack:

        def start(*argv: object) -> int:
            child = subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log, cwd=tmp_path)
            stack.callback(child.wait)
            stack.callback(child.kill)
            return child.pid

        first = start("unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *etcd)
        assert eventually(lambda: Path(f"/proc/{first}/exe").resolve() == renamed)
        second = start("nsenter", f"--net=/proc/{first}/ns/net", "--", *api)
        assert eventually(lambda: Path(f"/proc/{second}/exe").resolve() == api[0])
        found = targets(Kubedoctor(home=tmp_path / "home", bin_dir=tmp_path), monkeypatch)

    (cluster,) = [one for one in found.values() if any(instance.pid == first for instance in one.instances)]
    assert (cluster.kind, cluster.title) == (
        TargetKind.OTHER,
        "cluster started by hand, API at port 16443, in a network namespace of its own",
    )
    assert cluster.id.startswith("other :16443")
    assert {one.name: one.pid for one in cluster.instances} == {"etcd": first, "kube-apiserver": second}
    assert {(one.root, one.net) for one in cluster.instances} == {(0, min(first, second))}
    assert {one.log for one in cluster.instances} == {str(tmp_path / "log")}
