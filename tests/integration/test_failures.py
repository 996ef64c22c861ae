"""Components that go wrong while a cluster comes up, and ports that are taken: what is said, and what remains."""

from __future__ import annotations

import getpass
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import ETCD, cure, events, files_in, free_port, guarded, identity_of, place_of, refusal, sick
from support.machine import processes

from kubedoctor.cluster.identity import is_alive, send

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, binaries) as command:
        yield command


def last_moment(cli: Kubedoctor, event: str) -> float:
    """Return the time of the last such event, in seconds since the epoch."""
    time_of_day = next(e["time"] for e in reversed(events(cli)) if e["event"] == event)
    return datetime.fromisoformat(time_of_day).timestamp()


# --- components -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "end", "line"),
    [
        ("echo 'Error: the disk is on fire' >&2; exit 3", "exit status 3", "Error: the disk is on fire"),
        ("kill -SEGV $$", "killed by SIGSEGV", ""),
        ("exit 0", "exit status 0", ""),
        ('exec "$REAL" "$@" --no-such-flag', "exit status 2", "flag provided but not defined: -no-such-flag"),
    ],
)
def test_component_that_ends_fails_up_at_once(cli: Kubedoctor, script: str, end: str, line: str) -> None:
    place = place_of(cli)
    place.logs.mkdir(parents=True)
    (place.logs / "etcd.log").write_text("Error: what an earlier run died of\n")
    real = sick(cli, "etcd", script)
    said = refusal(cli("up", *ETCD))
    returned = time.time()
    assert f"error: etcd failed: {end}\n" in said
    assert line in said
    assert "an earlier run" not in said
    assert f"its log: {place.logs}/etcd.log" in said
    assert returned - last_moment(cli, "failed") < 1
    assert processes(cli.home) == []
    cure(cli, "etcd", real)
    cli.ok("up", *ETCD)


def test_api_server_that_ends_takes_etcd_with_it(cli: Kubedoctor) -> None:
    done = cli("up", "--set", "kube-apiserver.service-account-key-file=/no/such/file")
    returned = time.time()
    said = refusal(done)
    assert "error: kube-apiserver failed: exit status 1" in said
    assert "/no/such/file" in said
    assert returned - last_moment(cli, "failed") < 1
    assert processes(cli.home) == []
    status = cli("status")
    assert status.status == 1
    assert "kube-apiserver" in status.out


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param('kill -STOP $$; exec "$REAL" "$@"', "its process is stopped (pid ", id="stopped"),
        pytest.param("exec sleep 1000", "port 2381: connection refused", id="never listens"),
        pytest.param("trap '' TERM INT; while :; do sleep 1; done", "port 2381: connection refused", id="ignores all"),
    ],
)
def test_component_that_hangs_is_named_when_time_is_up(cli: Kubedoctor, script: str, why: str) -> None:
    sick(cli, "etcd", script)
    said = refusal(cli("up", *ETCD, "--timeout", "2"))
    assert f"error: etcd is not ready after 2 s: {why}" in said
    assert "--keep" in said
    assert processes(cli.home) == []


def test_etcd_that_stops_under_the_api_server_is_the_one_named(cli: Kubedoctor) -> None:
    up = cli.popen("up", "--timeout", "6")
    assert up.stderr is not None
    for text in up.stderr:
        if re.search(r"etcd +ready", text):
            break
    etcd = identity_of(cli, "etcd")
    assert send(etcd, signal.SIGSTOP)
    _, said = up.communicate(timeout=60)
    assert up.returncode == 1
    assert "error: etcd is not ready after 6 s: its process is stopped" in said
    assert f"(pid {etcd.pid})" in said
    assert not is_alive(etcd)


def test_failed_cluster_can_be_kept_for_a_look(cli: Kubedoctor) -> None:
    sick(cli, "etcd", "exec sleep 1000")
    refusal(cli("up", *ETCD, "--timeout", "1", "--keep"))
    status = cli("status", "-o", "json")
    assert status.status == 1
    assert status.json["components"][0]["state"] == "starting"
    assert is_alive(identity_of(cli, "etcd"))
    cli.ok("down")
    assert processes(cli.home) == []


# --- binaries ---------------------------------------------------------------------------------------------------------

ELF_OF_ANOTHER_MACHINE = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf3\x00" + bytes(44)  # RISC-V


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        pytest.param(None, 0o755, "is not a file", id="a directory"),
        pytest.param(b"#!/bin/sh\n", 0o644, "is not executable", id="not executable"),
        pytest.param(ELF_OF_ANOTHER_MACHINE, 0o755, "is built for riscv64, this machine is", id="another machine"),
        pytest.param(b"exit 0\n", 0o755, "is not a program", id="no shebang"),
        pytest.param(b"", 0o755, "is not a program", id="empty"),
        pytest.param(b"#!/no/such/program\n", 0o755, "is a script for `/no/such/program`", id="no interpreter"),
    ],
)
def test_binary_that_is_none_is_refused_before_anything_starts(
    cli: Kubedoctor, tmp_path: Path, content: bytes | None, mode: int, why: str
) -> None:
    binary = tmp_path / "etcd"
    if content is None:
        binary.mkdir()
    else:
        binary.write_bytes(content)
        binary.chmod(mode)
    done = cli("up", *ETCD, "--binary", f"etcd={binary}")
    said = refusal(done, status=done.status)
    assert done.status in (1, 2)
    assert str(binary) in said
    assert why in said
    assert not place_of(cli).plan.exists()


# --- ports ------------------------------------------------------------------------------------------------------------

LISTENER = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print(flush=True); s.accept()"
)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[str]]:
    """Another program that listens on a port; its last argument."""
    command = [sys.executable, "-c", LISTENER, str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def port_of(stranger: subprocess.Popen[str]) -> str:
    assert isinstance(stranger.args, list)
    return str(stranger.args[-1])


@pytest.mark.parametrize("options", [(), ("--host",)])
def test_taken_port_is_found_before_anything_starts(
    cli: Kubedoctor, stranger: subprocess.Popen[str], options: tuple[str, ...]
) -> None:
    port = port_of(stranger)
    said = refusal(cli("up", *options, env={"API_SECURE_PORT": port}))
    assert f"kube-apiserver cannot start: port {port} is taken by `python" in said
    assert f"(pid {stranger.pid}, user {getpass.getuser()}, started " in said
    assert "nothing was started" in said
    assert f"kill {stranger.pid}" in said
    assert files_in(cli.home / "clusters") <= {"local/places/node-1/lock"}, "something was written"
    suggested = re.search(r"--port (\S+)=(\d+)", said)
    assert suggested
    stranger.kill()
    stranger.wait()
    assert cli("up", "--dry-run", "--port", f"{suggested[1]}={suggested[2]}").status == 0


def test_port_of_another_cluster_is_told_as_such(cli: Kubedoctor, tmp_path: Path) -> None:
    port = free_port()
    publish = ("--publish", f"{port}:2379")
    cli.ok("up", *ETCD, *publish)
    said = refusal(cli("up", *ETCD, *publish, "--name", "other"))
    assert f"port {port} is taken by cluster `local`" in said
    assert "kubedoctor down" in said
    elsewhere = Kubedoctor(home=tmp_path / "elsewhere", bin_dir=cli.bin_dir, env=cli.env)
    said = refusal(elsewhere("up", *ETCD, *publish))
    assert f"port {port} is taken by cluster `local`" in said
    assert f"KUBEDOCTOR_HOME={shlex.quote(str(cli.home))} kubedoctor down" in said
    assert [path.name for path in (elsewhere.home / "clusters").iterdir()] == ["local"]
