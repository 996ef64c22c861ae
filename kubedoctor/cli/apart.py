"""Work in a child process that may be left behind: a dead disk or server keeps that one from ending, not the command.

A thread that waits for one, in state D, cannot be ended by anybody, and a process is there until its last thread is
gone. So the work is done by a child that tells how it ended, and the command ends with its word.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from kubedoctor.cli.app import App
from kubedoctor.cli.errors import INTERRUPTED, boundary
from kubedoctor.cluster.identity import wait_gone
from kubedoctor.errors import ExitCode
from kubedoctor.host.process_stat import parse_stat

_STOP = signal.SIGTERM
"""How the child is told of a Ctrl-C: a terminal sends SIGINT to both of us, others to the command alone."""

_HELD = {signal.SIGINT, _STOP}
"""Signals that wait while there are two of us who do not know yet who is who."""

_GRACE = 0.25
"""Seconds a child that has told its outcome may take to be gone: as a rule it needs two milliseconds."""


def run(app: App, args: Sequence[str], work: Callable[[], int]) -> int:
    """Return the exit status of *work*, done in a child with our streams; *args* are the command line's.

    Where no process can be made, it is done here. To be called before there is any thread.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ours, theirs = os.pipe()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        return work()
    if pid == 0:
        _work(app, args, work, theirs, parent)
    os.close(theirs)
    pidfd = os.pidfd_open(pid)
    try:
        return _outcome(app, pid, pidfd, ours)
    finally:
        os.close(pidfd)
        os.close(ours)


# --- the command ------------------------------------------------------------------------------------------------------


def _outcome(app: App, pid: int, pidfd: int, channel: int) -> int:
    """Return the child's exit status when it has told it, or is gone."""
    with _waking() as woken:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
            told = _told(channel, woken)
        except KeyboardInterrupt:
            signal.pidfd_send_signal(pidfd, _STOP)
            told = _told(channel, woken)  # a second one leaves without the child, whom our end ends
    if not told:
        return _ended(app, pid)
    if wait_gone(pidfd, _GRACE):
        os.waitpid(pid, 0)
    elif _hangs(pid):
        app.console.say(f"process {pid} stays until the disk or server that it waits for answers")
    return told[0]


@contextlib.contextmanager
def _waking() -> Iterator[int]:
    """Yield what can be read when a signal has come: one that comes just before a system call does not interrupt it."""
    woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    try:
        yield woken
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waking)


def _told(channel: int, woken: int) -> bytes:
    """Return what the child tells, nothing when it is gone; raise KeyboardInterrupt."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while not any(descriptor == channel for descriptor, _ in poll.poll()):
        os.read(woken, 64)
    return os.read(channel, 1)


def _ended(app: App, pid: int) -> int:
    """Return the exit status for a child that has ended without a word."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
        app.console.error(f"the process that did the work was ended by {name}")
        return 128 - code
    return int(ExitCode.DEFECT)


def _hangs(pid: int) -> bool:
    """Return whether a thread of the process waits for what cannot be interrupted."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            if parse_stat(stat.read_bytes()).state == "D":
                return True
    return False


# --- the child --------------------------------------------------------------------------------------------------------


def _work(app: App, args: Sequence[str], work: Callable[[], int], channel: int, parent: int) -> NoReturn:
    """Do the work, tell how it ended, and be gone: nothing gets back into the command's own code."""
    status = int(ExitCode.DEFECT)
    try:
        try:
            _follow(parent)
            status = boundary(app, args, work)
        except KeyboardInterrupt:  # in the instant before or after the work
            status = INTERRUPTED
        signal.signal(_STOP, signal.SIG_IGN)
        _close_all_but(channel)  # what hangs must not keep anybody waiting who reads what we write
        os.write(channel, bytes([status & 0xFF]))
    finally:
        os._exit(status)


def _follow(parent: int) -> None:
    """End with the parent, and take its word for a Ctrl-C instead of the terminal's, so that it comes once."""
    from kubedoctor.cluster.kernel import die_with_parent

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not SIG_IGN: whoever is run would inherit it
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
    signal.signal(_STOP, stop)
    die_with_parent()
    if os.getppid() != parent:
        raise KeyboardInterrupt
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def _close_all_but(kept: int) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are enough
            if int(name) != kept:
                with contextlib.suppress(OSError):  # that of the listing itself
                    os.close(int(name))
