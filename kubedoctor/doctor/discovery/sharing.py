"""Whether another user's process sees the files and the network that we see: /proc tells it without any right."""

from __future__ import annotations

import re

from kubedoctor.facts import FactError, Look, fact
from kubedoctor.host import read_file
from kubedoctor.records import dataclass

_LIMIT = 16 << 20
"""Bytes of a table: a machine with 100 000 sockets of one kind has as many."""
_TABLES = (("unix", 6), ("tcp", 9), ("tcp6", 9))
"""Files of /proc/PID/net, and in which column the inode number of a socket stands: no two sockets share one."""
_ROOT_MOUNT = re.compile(rb"^(\d+) \d+ \S+ \S+ / ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a process shares with us; None is unknown."""

    root: bool | None
    net: bool | None


@fact("targets.sharing")
def sharing(look: Look, pid: int) -> Sharing:
    """Whether a process has our root directory and our network namespace, seen without looking into it."""
    del look
    return Sharing(root=_same_root(pid), net=_same_net(pid))


@fact("targets.hides-processes")
def hides_processes(look: Look) -> bool:
    """Whether /proc hides the processes of others from us (hidepid): then clusters may run that nobody sees."""
    del look
    for line in read_file("/proc/self/mountinfo", limit=_LIMIT).splitlines():
        fields, _, kind = line.partition(b" - ")
        if fields.split()[4:5] == [b"/proc"] and kind.startswith(b"proc "):
            return re.search(rb"hidepid=(2|4|invisible|ptraceable)", kind) is not None
    return False


def _same_root(pid: int) -> bool | None:
    """Return whether *pid* has the mount at `/` that we have; what stands under a chroot there shows no such mount."""
    theirs, ours = (_ROOT_MOUNT.findall(_table(f"/proc/{process}/mountinfo")) for process in (pid, "self"))
    return theirs[-1:] == ours[-1:] if ours and theirs else None


def _same_net(pid: int) -> bool | None:
    known = [False, False]
    for table, column in _TABLES:
        theirs, ours = (_inodes(_table(f"/proc/{process}/net/{table}"), column) for process in (pid, "self"))
        if theirs & ours:
            return True
        known = [known[0] or bool(theirs), known[1] or bool(ours)]
    return False if all(known) else None


def _inodes(table: bytes, column: int) -> set[bytes]:
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[column] for row in rows if len(row) > column and row[column] != b"0"}


def _table(path: str) -> bytes:
    try:
        return read_file(path, limit=_LIMIT)
    except FactError:
        return b""
