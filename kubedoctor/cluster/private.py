"""Directories a sandbox has for itself, at the same paths as the machine's. Standard library only.

A mount point has to exist, and nothing may be made on the machine: where a directory is missing, its nearest parent is
replaced inside by a tmpfs that shows everything the machine has there, and the missing directory is made in that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from kubedoctor.cluster import kernel
from kubedoctor.cluster.documents import PrivateDirectory

_MODE = 0o755


def cover(directories: Iterable[PrivateDirectory]) -> None:
    """Mount a directory of the sandbox's own over each path, parents first; raise OSError naming the path."""
    for directory in sorted(directories, key=lambda one: one.path):
        # Resolved: /var/run is a link to /run nearly everywhere, and the mount is seen by both names.
        path = Path(directory.path).resolve()
        _make_mount_point(path)
        if directory.source:
            Path(directory.source).mkdir(mode=_MODE, parents=True, exist_ok=True)
            kernel.mount(directory.source, str(path), flags=kernel.MS_BIND)
        else:
            kernel.mount("private", str(path), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")


def _make_mount_point(path: Path) -> None:
    parent = path
    while not parent.is_dir():
        parent = parent.parent
    if parent == path:
        return
    if parent == Path("/"):
        raise FileNotFoundError(errno.ENOENT, "this machine has no such directory", f"/{path.parts[1]}")
    if parent.stat().st_dev not in _surrogates:
        _mirror(parent)
    path.mkdir(mode=_MODE, parents=True)


_surrogates: set[int] = set()
"""Devices of the tmpfs made here: what is made in them leaves no trace."""


def _mirror(directory: Path) -> None:
    """Replace *directory* by a tmpfs in which each of its entries is what it was."""
    names = sorted(os.listdir(directory))  # noqa: PTH208 - names are enough
    entries = {name: _held(directory / name) for name in names}
    mode = directory.stat().st_mode & 0o7777
    kernel.mount("private", str(directory), "tmpfs", kernel.MS_NODEV, f"mode={mode:o}")
    _surrogates.add(directory.stat().st_dev)
    for name, held in entries.items():
        path = directory / name
        if isinstance(held, str):
            path.symlink_to(held)
        elif held is not None:
            path.mkdir() if held.is_directory else path.touch()
            held.attach()


def _held(path: Path) -> kernel.DetachedTree | str | None:
    """Return what stands at *path*: a link's target, or a mount of everything else; None when it has just gone."""
    try:
        if path.is_symlink():
            return os.readlink(path)  # noqa: PTH115 - a string is what symlink_to takes
        return kernel.DetachedTree(str(path))
    except FileNotFoundError:
        return None
