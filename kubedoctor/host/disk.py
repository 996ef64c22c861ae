"""How much room is left where something is, or would be, stored. Standard library only.

A dead server or FUSE program never answers. So each filesystem is asked in a thread of its own and given up after a
while: it costs what is on it, not what is elsewhere, and no daemon thread holds up the end of the program.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

from kubedoctor.facts import Absent, FactError, Look, Silent, fact
from kubedoctor.host.errors import as_fact_errors, printable
from kubedoctor.host.files import open_path
from kubedoctor.host.mountinfo import Mount, mount_of, mounts
from kubedoctor.records import dataclass

T = TypeVar("T")
PATIENCE = 1.0
"""Seconds a filesystem is given: a local one answers within 0.1 ms, a busy NFS server within 0.1 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """The filesystem on which `path` lies or, when there is no such path yet, would lie. Sizes are bytes.

    `available` is what ordinary users may still write, and what the kubelet reckons with; `free` has root's reserve
    too. `inodes` is 0 for filesystems that have no fixed number of them.
    """

    path: str  # the nearest that exists
    mount: str  # where the filesystem is mounted; empty when that is not seen
    kind: str
    source: str
    device: int
    size: int
    free: int
    available: int
    inodes: int
    inodes_free: int
    read_only: bool


@fact("host.disk-space")
def disk_space(look: Look, path: str, root: int = 0) -> DiskSpace:
    """The room on the filesystem of *path*, as seen from the root directory of process *root*.

    Raise Silent when the filesystem does not answer, naming what is mounted there.
    """
    known = look.get(mounts, root)
    try:
        return in_time(lambda: _ask(path, root, known), PATIENCE)
    except TimeoutError:
        mount = mount_of(known, path)
        where = f"{mount.source} ({mount.kind}) at {mount.path}" if mount else path
        raise Silent(f"{printable(where)} did not answer within {PATIENCE:g} s") from None


def _ask(path: str, root: int, known: tuple[Mount, ...]) -> DiskSpace:
    place = PurePosixPath(path)
    for candidate in (place, *place.parents):
        try:
            handle = open_path(str(candidate), root=root)
        except Absent:
            if str(candidate) == "/":  # the process has ended
                raise
            continue
        try:
            with as_fact_errors(str(candidate)):
                status, device = os.fstatvfs(handle), os.fstat(handle).st_dev
            mount = next((one for one in known if one.id == _mount_id(handle)), None)
        finally:
            os.close(handle)
        return DiskSpace(
            path=str(candidate),
            mount=mount.path if mount else "",
            kind=mount.kind if mount else "",
            source=mount.source if mount else "",
            device=device,
            size=status.f_blocks * status.f_frsize,
            free=status.f_bfree * status.f_frsize,
            available=status.f_bavail * status.f_frsize,
            inodes=status.f_files,
            inodes_free=status.f_favail,
            read_only=bool(status.f_flag & os.ST_RDONLY),
        )
    raise Absent(f"{printable(path)} does not exist")


def _mount_id(handle: int) -> int:
    with open(f"/proc/self/fdinfo/{handle}") as stream:  # noqa: PTH123 - read once
        found = re.search(r"^mnt_id:\s*(\d+)", stream.read(), re.MULTILINE)
    return int(found[1]) if found else -1


def in_time(ask: Callable[[], T], seconds: float) -> T:
    """Return what *ask* returns, or raise what it raises, or TimeoutError after *seconds*: it then goes on alone."""
    answer: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answer.append(ask())
        except BaseException as error:  # a border: it is raised where the answer was waited for
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="kubedoctor-disk", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError
    if errors:
        error = errors[0]
        raise type(error)(error.reason) if isinstance(error, FactError) else error
    return answer[0]
