"""`kubedoctor check` as it is run: its work is done in a child, and nobody notices but who looks for it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.clusters import eventually
from support.command import Kubedoctor

from kubedoctor.cli import apart
from kubedoctor.cli.app import App
from kubedoctor.cluster.identity import process_state
from kubedoctor.errors import UsageError

RECORDING = Path(__file__).parent.parent / "fixtures" / "recordings" / "etcd.unhealthy.json.gz"


@pytest.fixture
def cli(tmp_path: Path) -> Kubedoctor:
    return Kubedoctor(home=tmp_path / "home", bin_dir=tmp_path / "bin")


@contextmanager
def reading(cli: Kubedoctor) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a `check` that waits for its input, and the pid of the child that does so."""
    with subprocess.Popen(
        cli.argv("check", "--from", "-"),
        env=cli.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert eventually(lambda: bool(children(process.pid)))
            (child,) = children(process.pid)
            assert eventually(lambda: not signals(child, "SigBlk"))  # from here on it does what it is to do with them
            yield process, child
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def signals(pid: int, which: str) -> set[int]:
    """Return the signals in a mask of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith(f"{which}:"))
    return {number for number in range(1, 65) if mask >> number - 1 & 1}


def is_gone(pid: int) -> bool:
    return eventually(lambda: not Path(f"/proc/{pid}").exists(), 20)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("check", "no.such.check"), 2, "no.such.check"),
        (("check", "--from", "nowhere"), 2, "nowhere"),
        (("check", "--from", str(RECORDING)), 1, ""),
        (("check", "--from", str(RECORDING), "--fail-on", "never"), 0, ""),
    ],
)
def test_the_status_and_the_words_are_those_of_the_child(
    cli: Kubedoctor, arguments: Sequence[str], status: int, said: str
) -> None:
    done = cli(*arguments)
    assert done.status == status, done.err
    assert done.err.count("error:") == (status == 2)
    assert said in done.err


@pytest.mark.parametrize("whole_group", [False, True])
def test_an_interrupt_ends_both_whoever_is_told(cli: Kubedoctor, whole_group: bool) -> None:
    with reading(cli) as (process, child):
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "")
        assert is_gone(child)


def test_a_second_interrupt_does_not_wait_for_a_child_that_does_not_heed_the_first(cli: Kubedoctor) -> None:
    with reading(cli) as (process, child):
        os.kill(child, signal.SIGSTOP)
        assert eventually(lambda: process_state(child) == "T")
        process.send_signal(signal.SIGINT)
        assert eventually(lambda: signal.SIGTERM in signals(child, "ShdPnd"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert is_gone(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_what_ends_the_command_ends_the_child(cli: Kubedoctor, number: signal.Signals) -> None:
    with reading(cli) as (process, child):
        process.send_signal(number)
        assert process.wait(60) == -number
        assert is_gone(child)


def test_a_child_that_somebody_kills_is_told(cli: Kubedoctor) -> None:
    with reading(cli) as (process, child):
        os.kill(child, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGKILL
        assert "was ended by SIGKILL" in err


@pytest.mark.parametrize("columns", [50, 120])
def test_width_and_colour_are_those_of_the_terminal(cli: Kubedoctor, columns: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**cli.environment(), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "kubedoctor", "check", "--from", str(RECORDING)],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 1 << 16):
                text += part
        except OSError:  # EIO: nobody has the other end any more
            pass
        assert process.wait(60) == 1
    os.close(ours)
    assert b"\x1b[31m" in text or b";31m" in text
    assert (len(text.decode().split("\r\n")[0]) > 50) == (columns > 50)  # what it says first is longer


def test_where_no_process_can_be_made_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def work() -> int:
        raise UsageError(f"done by {os.getpid()}")

    monkeypatch.setattr(os, "fork", refuse)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(UsageError, match=str(os.getpid())):
        apart.run(App(), [], work)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
