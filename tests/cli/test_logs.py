from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import call

from kubedoctor.cluster.paths import ClusterPaths


def klog(second: int, text: str, level: str = "I") -> str:
    return f'{level}1123 03:00:{second:02}.000000      19 x.go:1] "{text}"\n'


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    directory = ClusterPaths.of("local").place().logs
    directory.mkdir(parents=True)
    (directory / "etcd.log").write_text(klog(1, "one") + klog(3, "three", "E"))
    (directory / "kube-scheduler.log").write_text(klog(2, "two", "W"))
    return directory


def words(out: str) -> list[str]:
    return [line.split('"')[1] for line in out.splitlines()]


def test_all_logs_are_shown_in_time_order_with_their_names() -> None:
    called = call("logs")
    assert called.status == 0
    assert words(called.out) == ["one", "two", "three"]
    assert called.out.splitlines()[1] == f"kube-scheduler | {klog(2, 'two', 'W')}".rstrip()


def test_one_log_is_shown_as_it_is_written() -> None:
    assert call("logs", "etcd").out == klog(1, "one") + klog(3, "three", "E")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--level", "warning"], ["two", "three"]),
        (["--level", "error"], ["three"]),
        (["--grep", "t[wh]"], ["two", "three"]),
        (["--tail", "2"], ["two", "three"]),
        (["--tail", "0"], []),
        (["--tail", "1", "--grep", "one"], ["one"]),
        (["--since", "1s"], []),
    ],
)
def test_options_choose_records(options: list[str], shown: list[str]) -> None:
    assert words(call("logs", *options).out) == shown


@pytest.mark.parametrize(
    "options", [["--grep", "["], ["--since", "yesterday"], ["--level", "loud"], ["--tail", "-1"], ["nope"]]
)
def test_what_cannot_be_is_wrong_use(options: list[str]) -> None:
    called = call("logs", *options)
    assert (called.status, called.out) == (2, "")
    assert called.err.startswith("error: ")


def test_problems_are_each_told_once(logs: Path) -> None:
    (logs / "etcd.log").write_text(klog(1, "try 1", "E") + klog(2, "try 2", "E") + klog(3, "fine"))
    called = call("logs", "--problems")
    assert called.out.splitlines() == ["etcd", "    11-23 03:00:02  2 x  try 2"]


def test_no_problems_are_told(logs: Path) -> None:
    (logs / "etcd.log").write_text(klog(1, "fine"))
    called = call("logs", "--problems")
    assert (called.status, called.out) == (0, "")
    assert "no component has logged an error" in called.err


def test_problems_are_not_followed() -> None:
    assert call("logs", "--problems", "-f").status == 2


def run(*options: str, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "kubedoctor", "logs", *options], stdout=stdout)


def test_bytes_that_are_no_text_pass_a_pipe_unchanged(logs: Path) -> None:
    (logs / "etcd.log").write_bytes(b"\xff\xfe\x1b[2J\n")
    with run("etcd", stdout=subprocess.PIPE) as process:
        assert process.communicate()[0] == b"\xff\xfe\x1b[2J\n"


def test_nothing_in_a_log_steers_the_terminal(logs: Path) -> None:
    (logs / "etcd.log").write_bytes(b"\xff\x1b[2J\x9b31m\x1b]0;owned\x07\n")
    ours, theirs = pty.openpty()
    with run("--no-color", "etcd", stdout=theirs) as process:
        process.wait()
        os.close(theirs)
        shown = os.read(ours, 10_000)
        os.close(ours)
    assert b"\x1b" not in shown
    assert b"\\x1b[2J" in shown


def test_following_shows_what_is_written_until_interrupted(logs: Path) -> None:
    with run("-f", "--level", "error", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"three" in process.stdout.readline()
        with (logs / "etcd.log").open("a") as stream:
            stream.write(klog(4, "four") + klog(5, "five", "E"))
        assert b"five" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
