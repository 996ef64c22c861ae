"""Subordinate ids: what lets an ordinary user's sandbox have more users than one. Standard library only.

The files of a container image belong to many users. An ordinary user may map those of /etc/subuid and /etc/subgid, by
the set-uid programs of the package uidmap; see user_namespaces(7), subuid(5).
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from kubedoctor.cluster import kernel
from kubedoctor.records import dataclass

_PROGRAMS = {"uid": "newuidmap", "gid": "newgidmap"}
IDS = 65536
"""Subordinate ids that a node needs: images use those up to 65535."""
FIRST_ID = 100_000
"""SUB_UID_MIN of login.defs(5)."""


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
    kinds = [kind for kind in _PROGRAMS if _range(kind) is None]
    if not kinds:
        return ""
    first = first_free(_given("uid") + _given("gid"))
    options = " ".join(f"--add-sub{kind}s {first}-{first + IDS - 1}" for kind in kinds)
    what, where = (" and ".join(form.format(kind) for kind in kinds) for form in ("{}s", "/etc/sub{}"))
    return f"no {IDS} subordinate {what} in {where}: usermod {options} {name}"


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


def ranges(text: str) -> Iterator[tuple[str, Range]]:
    """Yield who was given which ids by *text*, a file as subuid(5) tells of; lines that are no such are passed over."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and all(re.fullmatch(r"[0-9]{1,10}", number) for number in fields[1:]):
            yield fields[0], Range(int(fields[1]), int(fields[2]))


def first_free(text: str) -> int:
    """Return the first id after all that *text* gives out: nobody's files may belong to somebody else."""
    return max([FIRST_ID, *(given.start + given.count for _, given in ranges(text))])


def _range(kind: str) -> Range | None:
    """Return the first range of /etc/subuid or /etc/subgid that is this user's and large enough."""
    mine = {_user(), str(os.geteuid())}
    return next((given for name, given in ranges(_given(kind)) if name in mine and given.count >= IDS), None)


def _given(kind: str) -> str:
    """Return the text of /etc/subuid or /etc/subgid, with a line end; "" where there is none."""
    try:
        return Path(f"/etc/sub{kind}").read_text(errors="replace") + "\n"
    except OSError:
        return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
