"""Processes by what cannot be taken over: boot id, pid and start time. Standard library only."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from kubedoctor.host.process_stat import read_stat
from kubedoctor.records import dataclass

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return the random id of this boot of the machine."""
    return BOOT_ID.read_text().strip()


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process of this boot: its pid could be given to another one, pid and start time together can't."""

    pid: int
    start_ticks: int


def identify(pid: int) -> ProcessIdentity:
    """Return the identity of the process that has *pid* now; raise ProcessLookupError when there is none."""
    return ProcessIdentity(pid, read_stat(pid).start_ticks)


def process_state(pid: int) -> str:
    """Return the letter by which the kernel tells what a process does (R, S, D, T, Z, …), "" when there is none."""
    try:
        return read_stat(pid).state
    except OSError:
        return ""


def open_process(identity: ProcessIdentity) -> int | None:
    """Return a pidfd of the process if it is still the one identified, else None.

    First hold it, then look: a pid that changes hands in between is noticed. A zombie counts as gone only when reaped.
    Pid 0 stands for no process in our documents.
    """
    if identity.pid == 0:
        return None
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    try:
        if identify(identity.pid) == identity:
            return handle
    except ProcessLookupError:
        pass
    os.close(handle)
    return None


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether the process runs and is not a zombie."""
    handle = open_process(identity)
    if handle is None:
        return False
    try:
        return not wait_gone(handle, 0)
    finally:
        os.close(handle)


def send(identity: ProcessIdentity, signum: int) -> bool:
    """Signal the process if it is still the one identified; return whether it was."""
    handle = open_process(identity)
    if handle is None:
        return False
    try:
        signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(pidfd: int, timeout: float) -> bool:
    """Return whether the process of *pidfd* ended within *timeout* seconds.

    The pidfd of pid 1 of a sandbox becomes readable only when every process of the sandbox is dead.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout) * 1000))
