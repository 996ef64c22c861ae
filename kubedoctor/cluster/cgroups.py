"""The cgroups of a place: one to leave the login's by, one for its node's pods. Standard library only.

Only directories made here are touched, and they are known by their name.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

PREFIX = "kubedoctor-"
_OURS = re.compile(r"/sys/fs/cgroup/(?:[a-z_,]+/)?kubedoctor-[-a-z0-9.]+")


def hierarchies() -> list[tuple[Path, str]]:
    """Return (mount point, our cgroup in it) of the hierarchies a session manager kills by: v2 and name=systemd."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" and "" in own:
            found.append((Path(target), own[""]))
        elif kind == "cgroup" and "name=systemd" in options.split(",") and "name=systemd" in own:
            found.append((Path(target), own["name=systemd"]))
    return found


def leave_session(name: str) -> tuple[str, ...]:
    """Move this process into cgroups of its own where it is in somebody else's; return the directories made.

    In the root cgroup there is nothing to leave. Without the right to (an ordinary user) it stays where it is.
    """
    made = []
    for mount, path in hierarchies():
        directory = mount / f"{PREFIX}{name}"
        if path in ("/", f"/{directory.name}") or not _OURS.fullmatch(str(directory)):
            continue
        try:
            directory.mkdir(exist_ok=True)
            made.append(str(directory))
            (directory / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            continue
    return tuple(made)


def node_directories(name: str) -> tuple[str, ...]:
    """Return the directories of the cgroup *name* in every hierarchy that is mounted here, made or not."""
    mounts = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split(" ")
        if kind in ("cgroup", "cgroup2"):
            mounts.append(target)
    found = (f"{mount}/{name}" for mount in dict.fromkeys(mounts))
    return tuple(directory for directory in found if _OURS.fullmatch(directory))


def make(directories: Iterable[str]) -> None:
    """Make cgroups that can hold others; raise OSError where the kernel refuses.

    A kubelet refuses to start where its root is missing in one hierarchy. A cpuset of cgroup v1 begins empty and takes
    no process until it has the processors and memory nodes of its parent.
    """
    for directory in map(Path, directories):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)  # as all others: whoever runs a kubelet walks through every cgroup
        for name in ("cpuset.cpus", "cpuset.mems"):
            own, inherited = directory / name, directory.parent / name
            if own.exists() and inherited.exists() and not own.read_text().strip():
                own.write_text(inherited.read_text())


def enter_root(directories: Iterable[str]) -> None:
    """Move this process out of *directories*, so that they can be removed: the last step before its end."""
    for directory in directories:
        with contextlib.suppress(OSError):
            (Path(directory).parent / "cgroup.procs").write_text(str(os.getpid()))


def remove(directories: Iterable[str]) -> None:
    """Remove *directories* and what is below them, deepest first: only our own, and only what holds no process."""
    for directory in directories:
        if _OURS.fullmatch(directory):
            for path, _, _ in os.walk(directory, topdown=False):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
