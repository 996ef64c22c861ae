"""Directories and files that have come. Links are never followed, and nothing is removed below a mount."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from pathlib import Path

from kubedoctor.cluster.cleanup.machine import mount_points
from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.components import Cleanup
from kubedoctor.errors import KubedoctorError

DEPTH = 2
"""How deep the record knows a directory: the kubelet's has pods/<uid>, CNI's networks/<name>, logs <pod>."""


def look_at_directory(cleanup: Cleanup) -> Before:
    """Return what is in the directory; where it is missing, `value` is the topmost directory that will be new."""
    path = Path(cleanup.name)
    if os.path.lexists(path):
        there = tuple(sorted(str(entry.relative_to(path)) for entry in _entries(path, DEPTH)))
        return Before(trace=cleanup.trace.value, name=cleanup.name, was_there=True, there=there)
    return Before(trace=cleanup.trace.value, name=cleanup.name, value=_topmost_new(path))


def _topmost_new(path: Path) -> str:
    while not os.path.lexists(path.parent):
        path = path.parent
    return str(path)


def _entries(directory: Path, depth: int) -> list[Path]:
    """Return what is in *directory*, *depth* levels deep; what goes while we look counts as gone."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found.append(Path(entry.path))
                if depth > 1 and entry.is_dir(follow_symlinks=False):
                    found += _entries(Path(entry.path), depth - 1)
    except (FileNotFoundError, NotADirectoryError):
        return found
    return found


def tell_directory(one: Before, _record: HostRecord) -> list[str]:
    """Return a line for each thing that has come."""
    return [f"would remove {path}" for path in _new(one)]


def _new(one: Before) -> list[Path]:
    """Return the topmost paths that have come."""
    path = Path(one.name)
    if not one.was_there:
        return [path] if os.path.lexists(path) else []
    known = {path / name for name in one.there}
    come = [entry for entry in _entries(path, DEPTH) if entry not in known]
    return sorted(entry for entry in come if entry.parent == path or entry.parent in known)


def clear_directory(one: Before, _record: HostRecord) -> None:
    """Remove what has come, and the directories above that were made for it, as far as they are empty."""
    for path in _new(one):
        if mounted := [point for point in mount_points() if Path(point).is_relative_to(path)]:
            raise KubedoctorError(f"{path} stays: something is mounted at {mounted[0]}")
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    if not one.was_there:
        _remove_empty(Path(one.name).parent, one.value)


def _remove_empty(path: Path, topmost: str) -> None:
    """Remove *path* and its parents up to *topmost*, as far as they are empty."""
    while path.is_relative_to(topmost):
        try:
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # somebody else uses it by now
            return
        path = path.parent


def look_at_empty(cleanup: Cleanup) -> Before:
    """Return whether the directory is there; where not, `value` is the topmost directory that will be new."""
    there = os.path.lexists(cleanup.name)
    value = "" if there else _topmost_new(Path(cleanup.name))
    return Before(trace=cleanup.trace.value, name=cleanup.name, value=value, was_there=there)


def tell_empty(one: Before, _record: HostRecord) -> list[str]:
    """Return a line when the directory has come."""
    return [f"would remove {one.name}, if it is empty then"] if not one.was_there and Path(one.name).is_dir() else []


def clear_empty(one: Before, _record: HostRecord) -> None:
    """Remove the directory and those that were made for it, unless something is in them."""
    if not one.was_there:
        _remove_empty(Path(one.name), one.value)


def look_at_file(cleanup: Cleanup) -> Before:
    """Return whether something of that name is there."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, was_there=os.path.lexists(cleanup.name))


def tell_file(one: Before, _record: HostRecord) -> list[str]:
    """Return a line when the file has come."""
    return [f"would remove {one.name}"] if not one.was_there and os.path.lexists(one.name) else []


def clear_file(one: Before, record: HostRecord) -> None:
    """Remove the file, unless somebody holds a lock on it: it is theirs by now."""
    if not tell_file(one, record):
        return
    path = Path(one.name)
    if not stat.S_ISREG(path.lstat().st_mode):
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


# --- what the CNI plugin `host-local` keeps ---------------------------------------------------------------------------


def look_at_reservations(cleanup: Cleanup) -> Before:
    """Return the networks that have a directory."""
    there = tuple(sorted(path.name for path in _entries(Path(cleanup.name), 1)))
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=there)


def tell_reservations(one: Before, _record: HostRecord) -> list[str]:
    """Return a line for each network that has come and in which no address is reserved."""
    return [f"would remove {path}" for path in _idle_networks(one)]


def _idle_networks(one: Before) -> list[Path]:
    come = [path for path in _entries(Path(one.name), 1) if path.name not in one.there]
    return [
        path for path in come if path.is_dir() and not path.is_symlink() and not any(map(_reserves, path.iterdir()))
    ]


def _reserves(path: Path) -> bool:
    """Return whether a file is an address that some pod has, named by it, and no bookkeeping."""
    return path.name != "lock" and not path.name.startswith("last_reserved_ip.")


def clear_reservations(one: Before, _record: HostRecord) -> None:
    """Remove the directory of each such network."""
    for path in _idle_networks(one):
        shutil.rmtree(path)
