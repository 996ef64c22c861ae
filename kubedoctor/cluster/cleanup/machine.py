"""Mounts, bridges, cgroups and settings of the kernel that have come, or changed."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import struct
from fcntl import ioctl
from pathlib import Path

from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.cluster.identity import boot_id
from kubedoctor.components import Cleanup

_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCBRDELBR = 0x8913, 0x8914, 0x89A1
_IFF_UP = 1
_INTERFACES = Path("/sys/class/net")
_SETTINGS = Path("/proc/sys")
_libc = ctypes.CDLL(None, use_errno=True)


# --- mounts -----------------------------------------------------------------------------------------------------------


def mount_points() -> list[str]:
    """Return the mount points of this namespace, in the order they were mounted in."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [_unescaped(line.split(" ")[4]) for line in lines]


def _unescaped(text: str) -> str:
    """Return a path with the blanks and backslashes that mountinfo writes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _below(directory: str) -> list[str]:
    return [point for point in mount_points() if point == directory or point.startswith(f"{directory}/")]


def look_at_mounts(cleanup: Cleanup) -> Before:
    """Return what is mounted at and below the directory."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=tuple(_below(cleanup.name)))


def tell_mounts(one: Before, _record: HostRecord) -> list[str]:
    """Return a line for each mount that has come."""
    return [f"would unmount {point}" for point in _new_mounts(one)]


def _new_mounts(one: Before) -> list[str]:
    """Return the mount points that have come, the last one first: what lies over another goes before it."""
    known = list(one.there)
    come = []
    for point in _below(one.name):
        if point in known:
            known.remove(point)
        else:
            come.append(point)
    return come[::-1]


def clear_mounts(one: Before, _record: HostRecord) -> None:
    """Take each mount that has come out of the tree; what still uses it may go on."""
    for point in _new_mounts(one):
        if _libc.umount2(os.fsencode(point), _MNT_DETACH | _UMOUNT_NOFOLLOW) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), point)


# --- bridges ----------------------------------------------------------------------------------------------------------


def _bridges(prefix: str) -> list[str]:
    return sorted(path.name for path in _INTERFACES.glob(f"{prefix}*") if (path / "bridge").is_dir())


def look_at_bridges(cleanup: Cleanup) -> Before:
    """Return the bridges of such names."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=tuple(_bridges(cleanup.name)))


def tell_bridges(one: Before, _record: HostRecord) -> list[str]:
    """Return a line for each bridge that has come and to which nothing is attached."""
    return [f"would remove interface {name}" for name in _idle_bridges(one)]


def _idle_bridges(one: Before) -> list[str]:
    come = [name for name in _bridges(one.name) if name not in one.there]
    return [name for name in come if not any((_INTERFACES / name / "brif").iterdir())]


def clear_bridges(one: Before, _record: HostRecord) -> None:
    """Remove each bridge that has come; one that others' pods are attached to is theirs now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in _idle_bridges(one):
            request = struct.pack("16s24s", name.encode(), b"")  # struct ifreq
            (flags,) = struct.unpack_from("H", ioctl(control, _SIOCGIFFLAGS, request), 16)
            ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags & ~_IFF_UP))
            ioctl(control, _SIOCBRDELBR, name.encode().ljust(16, b"\0"))


# --- cgroups ----------------------------------------------------------------------------------------------------------


def _cgroups(path: str) -> list[str]:
    """Return the directories of a cgroup in every hierarchy."""
    fields = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = (f"{field[1]}/{path.strip('/')}" for field in fields if field[2] in ("cgroup", "cgroup2"))
    return [directory for directory in dict.fromkeys(found) if Path(directory).is_dir()]


def look_at_cgroups(cleanup: Cleanup) -> Before:
    """Return where there are cgroups of this path."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=tuple(_cgroups(cleanup.name)))


def tell_cgroups(one: Before, _record: HostRecord) -> list[str]:
    """Return a line for each cgroup that has come."""
    return [f"would remove cgroup {path}" for path in _cgroups(one.name) if path not in one.there]


def clear_cgroups(one: Before, _record: HostRecord) -> None:
    """Remove the cgroups that have come with those below, deepest first; the kernel keeps one that holds a process."""
    for directory in _cgroups(one.name):
        if directory not in one.there:
            for path, _, _ in os.walk(directory, topdown=False):
                Path(path).rmdir()


# --- settings ---------------------------------------------------------------------------------------------------------


def look_at_setting(cleanup: Cleanup) -> Before:
    """Return the value of a setting, none where this kernel does not have it."""
    value = _setting(cleanup.name)
    there = () if value is None else (value,)
    return Before(trace=cleanup.trace.value, name=cleanup.name, value=cleanup.value, there=there)


def _setting(name: str) -> str | None:
    try:
        return (_SETTINGS / name).read_text().strip()
    except OSError:
        return None


def tell_setting(one: Before, record: HostRecord) -> list[str]:
    """Return a line when the setting is what the cluster sets it to and was something else before, in this boot."""
    now = _setting(one.name)
    if not one.there or now != one.value or now == one.there[0] or record.boot_id != boot_id():
        return []
    return [f"would set {one.name.replace('/', '.')} back to {one.there[0]}"]


def clear_setting(one: Before, record: HostRecord) -> None:
    """Put a setting back; one that somebody has changed to another value since is theirs."""
    if tell_setting(one, record):
        (_SETTINGS / one.name).write_text(f"{one.there[0]}\n")
