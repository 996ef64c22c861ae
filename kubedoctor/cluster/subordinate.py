"""Subordinate ids: what lets an ordinary user's sandbox have more users than one. Standard library only.

The files of a container image belong to many users. An ordinary user may map those of /etc/subuid and /etc/subgid, by
the set-uid programs of the package uidmap; see user_namespaces(7), subuid(5).
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from kubedoctor.cluster import kernel
from kubedoctor.records import dataclass

_PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
_ENOUGH = 65536
"""What images use: ids up to 65535."""


@dataclass(frozen=True, slots=True)
class Range:
    """Ids of outside that stand for those from 1 on inside."""

    start: int
    count: int


def refusal() -> str:
    """Return what this user lacks for a node, and how an administrator grants it; "" when nothing is missing."""
    missing = [program for program in _PROGRAMS.values() if shutil.which(program) is None]
    if missing:
        return f"{' and '.join(missing)} missing (package uidmap or shadow-utils)"
    name = _user()
    if name.isdigit():
        return f"uid {name} has no name in /etc/passwd, which newuidmap asks for"
    for kind in _PROGRAMS:
        if _range(kind) is None:
            option = "--add-subuids" if kind == "uid" else "--add-subgids"
            return f"no {_ENOUGH} subordinate {kind}s in /etc/sub{kind}: usermod {option} 100000-165535 {name}"
    return ""


def map_users(pid: int) -> None:
    """Map the caller to 0 and the subordinate ids to 1 … in the user namespace of the child *pid*.

    Raise OSError where the programs refuse; their words are in the log.
    """
    for kind, program in _PROGRAMS.items():
        ids = _range(kind)
        path = shutil.which(program)
        if ids is None or path is None:
            raise OSError(0, refusal(), program)
        own = os.geteuid() if kind == "uid" else os.getegid()
        argv = [path, str(pid), "0", str(own), "1", "1", str(ids.start), str(ids.count)]
        _, status = os.waitpid(os.posix_spawn(path, argv, os.environ), 0)
        if status:
            raise OSError(0, f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}", program)


def remove_tree(directory: Path) -> None:
    """Remove a directory with what the users inside have made in it; raise OSError when something stays."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = kernel.clone(kernel.CLONE_NEWUSER)
    if pid == 0:
        status = 1
        try:
            os.read(told, 1)  # until the map is there
            shutil.rmtree(directory)
            status = 0
        finally:
            os._exit(status)
    try:
        map_users(pid)
        os.write(tell, b"\0")
    finally:
        for descriptor in (tell, told):
            os.close(descriptor)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
    if ended is None or ended.si_status:
        raise OSError(0, "cannot be removed", str(directory))


def _range(kind: str) -> Range | None:
    """Return the first range of /etc/subuid or /etc/subgid that is this user's and large enough."""
    try:
        lines = Path(f"/etc/sub{kind}").read_text().splitlines()
    except OSError:
        return None
    mine = {_user(), str(os.geteuid())}
    for line in lines:
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in mine and fields[1].isdigit() and fields[2].isdigit():
            found = Range(int(fields[1]), int(fields[2]))
            if found.count >= _ENOUGH:
                return found
    return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
