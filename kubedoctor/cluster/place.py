"""Taking and looking at a place: its lock, its recorded state, what a crash left. Standard library only."""

from __future__ import annotations

import fcntl
import os
import signal
import time

from kubedoctor.cluster import cgroups
from kubedoctor.cluster.cleanup.run import clear as clear_host
from kubedoctor.cluster.documents import SCHEMA_VERSION, PlaceStatus, ProcessStatus
from kubedoctor.cluster.files import read_json
from kubedoctor.cluster.identity import ProcessIdentity, boot_id, open_process, wait_gone
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.errors import AlreadyRunning, KubedoctorError
from kubedoctor.jsonform import from_json

PATIENCE = 10.0
"""Seconds until processes of a killed keeper must be gone; the kernel needs some 50 ms for a sandbox."""


def is_held(place: PlacePaths) -> bool:
    """Return whether a keeper, or an `up` that is about to start one, holds the place."""
    try:
        descriptor = os.open(place.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def acquire(place: PlacePaths, *, patience: float = 0.2) -> int:
    """Return the descriptor of the place's lock, held, once nothing of an earlier keeper is left.

    *patience* in seconds outlasts the instants in which others look whether the lock is held. Raise AlreadyRunning when
    somebody keeps it.
    """
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AlreadyRunning(f"{place.directory} is in use by another kubedoctor") from None
                time.sleep(0.01)  # flock has no time limit, and a signal for one would be a side effect on our caller
        clear_remains(place)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def wait_free(place: PlacePaths, timeout: float) -> bool:
    """Return whether the place's lock became free, which means everything is gone, within *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while is_held(place):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def read_state(place: PlacePaths) -> PlaceStatus | None:
    """Return what the last keeper recorded, None when there is nothing; raise KubedoctorError when it is unreadable."""
    try:
        data = read_json(place.state)
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise KubedoctorError(
                f"{place.state} was written by a newer kubedoctor", hint="use the newer kubedoctor for this cluster"
            )
        return from_json(PlaceStatus, data)
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise KubedoctorError(
            f"{place.state} cannot be read: {problem}",
            hint=f"it only says what ran last; with nothing running it can go: rm {place.state}",
        ) from None


def clear_remains(place: PlacePaths) -> None:
    """Wait for, end and remove what a killed keeper left; the caller holds the lock.

    The kernel frees the lock of a killed keeper before the sandbox it takes along is empty: the pidfd of pid 1 tells
    when it is. On the host, components are children with a death signal; what survived is ended by identity.
    """
    try:
        state = read_state(place)
    except KubedoctorError:
        return  # whatever stood there, its processes ended with their keeper; `up` tells about the file
    if state is None:
        clear_host(place)  # an `up` that was killed before it started a keeper
        return
    if state.boot_id == boot_id():
        _end(state.supervisor, kill=True)
        for component in state.components:
            _end(ProcessStatus(pid=component.pid, start_ticks=component.start_ticks), kill=True)
    try:
        clear_host(place)
    finally:
        cgroups.remove(state.cgroups)


def _end(process: ProcessStatus, *, kill: bool) -> None:
    if not process.pid:
        return
    handle = open_process(ProcessIdentity(process.pid, process.start_ticks))
    if handle is None:
        return
    try:
        if kill:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not wait_gone(handle, PATIENCE):
            raise KubedoctorError(
                f"process {process.pid} of an earlier run does not end",
                hint=f"see what it waits for: cat /proc/{process.pid}/stack",
            )
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
