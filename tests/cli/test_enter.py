from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.places import Kept, fake, kept, plan_of
from support.running import looks_running

from kubedoctor.cluster.documents import PlannedProbe, ProcessStatus
from kubedoctor.cluster.identity import identify
from kubedoctor.cluster.paths import ClusterPaths


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    cluster = ClusterPaths.of("test")
    for directory in (cluster.place().config, cluster.place().logs, cluster.place().data):
        directory.mkdir(parents=True, mode=0o700)
    return cluster


@pytest.fixture
def running(cluster: ClusterPaths) -> Iterator[Kept]:
    paths = cluster.place()
    files = {"ca_file": "/ca.crt", "cert_file": "/a.crt", "key_file": "/a.key"}
    api = PlannedProbe(kind="https", address="127.0.0.1", port=6443, **files)
    plan = plan_of(paths, fake(paths, "web", 8080), api=api)
    with kept(paths, plan) as place:
        place.until_event("ready")
        yield place


def argv(*command: str) -> list[str]:
    return [sys.executable, "-m", "kubedoctor", "enter", "--name", "test", *command]


def enter(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv(*command), capture_output=True, text=True, check=False, cwd=cwd)


def test_a_command_sees_what_components_see(running: Kept, tmp_path: Path) -> None:
    code = (
        "import os, socket, urllib.request as r;"
        "print(r.urlopen('http://127.0.0.1:8080/healthz').read().decode());"
        "print(socket.gethostname(), os.getcwd(), os.environ['KUBECONFIG'], os.environ['KUBEDOCTOR_INSIDE']);"
        "print(sorted(os.listdir('/sys/class/net')))"
    )
    done = enter(sys.executable, "-c", code, cwd=tmp_path)
    kubeconfig = running.paths.config / "inside.kubeconfig"
    assert done.stdout.splitlines()[:2] == ["ok", f"test {tmp_path} {kubeconfig} test"], done.stderr
    assert "server: https://127.0.0.1:6443" in kubeconfig.read_text()
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def test_programs_of_the_system_and_of_the_cluster_are_found(running: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = enter("sh", "-c", "echo $PATH").stdout.strip().split(":")
    assert path[:2] == ["/usr/bin", "/bin"]
    assert "/usr/sbin" in path
    assert path[-1] == str(Path(sys.executable).parent)


def test_it_sees_the_processes_of_the_inside_only(running: Kept) -> None:
    done = enter("sh", "-c", "cat /proc/1/comm; test -d /proc/$$ && echo own")
    assert done.stdout.split() == ["kd-supervisor", "own"]


def test_the_status_is_told_inside_too(running: Kept) -> None:
    done = enter(sys.executable, "-m", "kubedoctor", "status", "--name", "test")
    assert done.stdout.startswith("cluster test   ready"), done.stdout


@pytest.mark.parametrize(
    ("command", "status"),
    [("true", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)],
)
def test_the_exit_status_is_the_commands(running: Kept, command: str, status: int) -> None:
    done = enter("sh", "-c", command)
    assert done.returncode == status, done.stderr


def test_what_cannot_be_executed_is_told_as_shells_do(running: Kept, tmp_path: Path) -> None:
    done = enter("no-such-program")
    assert (done.returncode, done.stderr) == (127, "no-such-program: not found inside\n")
    assert enter(str(tmp_path)).returncode == 126


def test_options_of_the_command_are_its_own(running: Kept) -> None:
    assert enter("echo", "--name", "-h", "--", "x").stdout == "--name -h -- x\n"


def test_a_signal_reaches_the_command(running: Kept) -> None:
    script = "trap 'echo ended; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(argv("sh", "-c", script), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "ended\n"
        assert process.wait() == 5


def test_the_command_ends_with_the_one_who_entered(running: Kept) -> None:
    with subprocess.Popen(argv("sh", "-c", "echo up; exec sleep 1000"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.stdout.read() == b"", "the pipe has no writer left"


def test_a_shell_on_a_terminal_has_its_terminal(running: Kept) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "SHELL": "/bin/sh", "PS1": "$ "}
    with subprocess.Popen(
        argv(), stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        os.write(ours, b"echo at $((40 + 2)); test -t 0 && exit 9\n")
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
        assert process.wait() == 9
    os.close(ours)
    assert b"at 42" in shown


def test_a_directory_that_is_gone_is_no_trouble(running: Kept, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec {' '.join(argv('pwd'))}"
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout == "/\n"


def test_another_process_that_has_the_pid_is_never_joined(cluster: ClusterPaths) -> None:
    other = ProcessStatus(pid=os.getpid(), start_ticks=identify(os.getpid()).start_ticks - 1)
    with looks_running(cluster, supervisor=other):
        done = enter("true")
    assert done.returncode == 1
    assert "the sandbox has ended" in done.stderr


def test_a_cluster_that_does_not_run_cannot_be_entered(cluster: ClusterPaths) -> None:
    done = enter("true")
    assert done.returncode == 1
    assert "does not run" in done.stderr


def test_on_the_host_the_command_runs_as_it_is(cluster: ClusterPaths) -> None:
    with looks_running(cluster, kind="host"):
        done = enter("hostname")
    assert done.stdout.strip() == socket.gethostname()
    assert "no sandbox to enter" in done.stderr
