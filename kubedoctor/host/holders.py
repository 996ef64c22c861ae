"""Who has a file open or locked: two etcd on one data directory, a database somebody still writes to."""

from __future__ import annotations

import os
import re

from kubedoctor.facts import Denied, Look, fact
from kubedoctor.host.errors import printable
from kubedoctor.host.files import open_path, read_text
from kubedoctor.host.process import Process, open_files, processes
from kubedoctor.records import dataclass

_LOCKS = 16 << 20
_INIT = 1
"""Often beyond even root's sight, and no program that has a cluster's files open; its locks would be seen."""
_LOCK = re.compile(r"^\d+: (?:-> )?(\S+) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has a file open, or a lock on it. `pid` 0: a lock whose process cannot be told."""

    pid: int
    name: str = ""  # as ps and top show it
    argv: tuple[str, ...] = ()
    uid: int = -1
    started: float = 0.0  # seconds since the epoch
    net: int = 0  # the inode number of its network namespace, 0 when it cannot be seen
    writes: bool = False  # one of its descriptors is open for writing
    locks: bool = False


@dataclass(frozen=True, slots=True)
class Lock:
    """A line of /proc/locks: `kind` is FLOCK, POSIX or OFDLCK; `pid` is -1 for the last, which no process owns."""

    kind: str
    writes: bool
    pid: int
    device: int
    inode: int


@fact("host.file-holders")
def file_holders(look: Look, path: str, root: int) -> tuple[Holder, ...]:
    """Who has the file open or locked, by pid; *path* as seen from the root directory of process *root*.

    Raise Absent when there is no such file, and Denied when nobody is found and there are processes we may not look
    into: unknown is not nobody. Locks are seen without any right.
    """
    wanted = _find(path, root)
    everyone = {process.pid: process for process in look.get(processes)}
    locks = [lock for lock in parse_locks(read_text("/proc/locks", limit=_LOCKS)) if lock.inode == wanted.inode]
    lockers = {lock.pid for lock in locks if lock.device == wanted.device}
    found: dict[int, Holder] = {}
    unseen = 0
    for pid, process in everyone.items():
        if process.is_kernel_thread or process.state == "Z":
            continue
        try:
            descriptors = _descriptors(pid, wanted)
        except PermissionError:
            unseen += pid != _INIT
            continue
        except OSError:  # it has ended
            continue
        if descriptors:
            # A lock counts by its file alone here: btrfs tells another device to /proc/locks than to stat.
            found[pid] = _holder(pid, process, _writes(pid, descriptors), any(lock.pid == pid for lock in locks))
    for pid in lockers - found.keys():
        found[max(pid, 0)] = _holder(max(pid, 0), everyone.get(pid), True, True)
    if any(one.pid for one in found.values()):
        found.pop(0, None)  # a lock of an open file: it is one of those
    if not found and unseen:
        raise Denied(f"needs root to see who has {printable(path)} open")
    return tuple(found[pid] for pid in sorted(found))


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    device: int
    inode: int


def _find(path: str, root: int) -> _File:
    handle = open_path(path, root=root)
    try:
        status = os.fstat(handle)
        name = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - where all symlinks led to
    finally:
        os.close(handle)
    return _File(_name(name), status.st_dev, status.st_ino)


def _name(target: str) -> str:
    return target.removesuffix(" (deleted)").rpartition("/")[2]


def _descriptors(pid: int, wanted: _File) -> list[int]:
    """Return the descriptors of the process that are the file.

    Only those with its name are looked at closer: looking at one on a dead server would wait for it.
    """
    found = []
    for descriptor, target in open_files(pid):
        if _name(target) == wanted.name:
            try:
                status = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116 - what it leads to is wanted
            except FileNotFoundError:
                continue
            if (status.st_dev, status.st_ino) == (wanted.device, wanted.inode):
                found.append(descriptor)
    return found


def _writes(pid: int, descriptors: list[int]) -> bool:
    for descriptor in descriptors:
        try:
            with open(f"/proc/{pid}/fdinfo/{descriptor}") as stream:  # noqa: PTH123 - read once
                flags = re.search(r"^flags:\s*([0-7]+)", stream.read(4096), re.MULTILINE)
        except OSError:
            continue
        if flags and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY:
            return True
    return False


def _holder(pid: int, process: Process | None, writes: bool, locks: bool) -> Holder:
    if process is None:
        return Holder(pid=pid, writes=writes, locks=locks)
    return Holder(
        pid=pid,
        name=process.name,
        argv=process.argv,
        uid=process.uid,
        started=process.started,
        net=process.namespaces.get("net", 0),
        writes=writes,
        locks=locks,
    )


def parse_locks(text: str) -> list[Lock]:
    """Return the locks of /proc/locks; those that wait for another are left out."""
    found = []
    for match in _LOCK.finditer(text):
        if "->" in match[0]:
            continue
        kind, mode, pid, major, minor, inode = match.groups()
        try:
            device = os.makedev(int(major, 16), int(minor, 16))
        except OverflowError:
            continue
        found.append(Lock(kind, mode == "WRITE", int(pid), device, int(inode)))
    return found
