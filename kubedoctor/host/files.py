"""Files, seen from the root directory of any process: read with a limit, never waited for, never followed out of it.

`root` is the pid whose root directory is meant; 0 is our own. A symlink in it, absolute or with `..`, leads to where it
leads that process (openat2 with RESOLVE_IN_ROOT). Nothing is opened before it is known to be a file: opening a FIFO
wakes its writer, opening a device may do anything. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from kubedoctor.facts import Denied, Malformed, Silent
from kubedoctor.host.errors import as_fact_errors, printable
from kubedoctor.records import dataclass

LIMIT = 1 << 20
"""Bytes of a file that are read unless told otherwise."""
ENTRIES = 100_000
"""Names of a directory that are listed: more is none of the directories a cluster has."""

_CONSUMED = ("/kmsg", "/trace_pipe", "/trace_pipe_raw")
"""Files of the kernel's whose content is gone when it has been read."""

_O_PATH = os.O_PATH | os.O_CLOEXEC
_SYS_OPENAT2, _RESOLVE_IN_ROOT = 437, 0x10  # the same on every architecture; linux/openat2.h
_TRIES = 100
"""openat2 says EAGAIN when a rename anywhere on the machine came in between: it has to be asked again."""
_libc = ctypes.CDLL(None, use_errno=True)


class FileKind(StrEnum):
    """What stands at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    SOCKET = "socket"
    FIFO = "fifo"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """What the kernel says of a path; `mode` is the permission bits, sizes are bytes, times seconds since the epoch."""

    kind: FileKind
    mode: int
    uid: int
    gid: int
    size: int
    modified: float
    device: int
    inode: int
    links: int = 1
    target: str = ""  # of a symlink, as it is written there


def read_file(path: str, *, root: int = 0, limit: int = LIMIT) -> bytes:
    """Return the content of a file of at most *limit* bytes.

    Raise Absent, Denied, Malformed for what is no file, is larger or gives nothing without waiting, Silent for a disk
    or server that fails, and for a process *root* that has ended.
    """
    with as_fact_errors(path), _opened(path, root) as handle:
        status = os.fstat(handle)
        kind = _kind(status.st_mode)
        if kind is not FileKind.FILE:
            raise Malformed(f"{printable(path)} is a {kind.value}, not a file")
        if not status.st_size and os.readlink(f"/proc/self/fd/{handle}").endswith(_CONSUMED):  # noqa: PTH115
            raise Malformed(f"{printable(path)} is a stream of the kernel's, not a file")
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            return _read(descriptor, path, limit)
        finally:
            os.close(descriptor)


def read_text(path: str, *, root: int = 0, limit: int = LIMIT) -> str:
    """Return the content of a file as text, with `�` for what is no UTF-8; raise as `read_file` does."""
    return read_file(path, root=root, limit=limit).decode(errors="replace")


def list_directory(path: str, *, root: int = 0) -> tuple[str, ...]:
    """Return the names in a directory, sorted, without `.` and `..`; a name that is no UTF-8 has surrogates in it.

    Raise Absent, Denied, Malformed for what is no directory or has more than 100 000 names.
    """
    with as_fact_errors(path), _opened(path, root) as handle:
        kind = _kind(os.fstat(handle).st_mode)
        if kind is not FileKind.DIRECTORY:
            raise Malformed(f"{printable(path)} is a {kind.value}, not a directory")
        names = []
        with os.scandir(f"/proc/self/fd/{handle}") as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > ENTRIES:
                    raise Malformed(f"{printable(path)} has more than {ENTRIES} entries")
        return tuple(sorted(names))


def stat_file(path: str, *, root: int = 0, follow: bool = False) -> FileStatus:
    """Return what stands at *path* itself, or, with *follow*, what a symlink there leads to; raise Absent, Denied."""
    with as_fact_errors(path), _opened(path, root, 0 if follow else os.O_NOFOLLOW) as handle:
        found = os.fstat(handle)
        kind = _kind(found.st_mode)
        target = os.readlink("", dir_fd=handle) if kind is FileKind.SYMLINK else ""
        return FileStatus(
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size,
            modified=found.st_mtime,
            device=found.st_dev,
            inode=found.st_ino,
            links=found.st_nlink,
            target=target,
        )


def open_path(path: str, *, root: int = 0) -> int:
    """Return an O_PATH descriptor of what *path* leads to, to be closed by the caller.

    `/proc/self/fd/N` names it for calls that take a path: connecting to a unix socket, statvfs. Raise Absent, Denied.
    """
    with as_fact_errors(path):
        return _open(path, root)


# --- opening ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: str, root: int, flags: int = 0) -> Iterator[int]:
    handle = _open(path, root, flags)
    try:
        yield handle
    finally:
        os.close(handle)


def _open(path: str, root: int, flags: int = 0) -> int:
    if not path.startswith("/"):
        raise Malformed(f"`{printable(path)}` is not an absolute path")
    if not root:
        return os.open(path, _O_PATH | flags)
    try:
        directory = os.open(f"/proc/{root}/root", _O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, ProcessLookupError):  # that tells nothing of the file
        raise Silent(f"process {root}, which sees {printable(path)}, has ended") from None
    try:
        return _open_in(directory, path, _O_PATH | flags)
    finally:
        os.close(directory)


def _open_in(directory: int, path: str, flags: int) -> int:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    how = struct.pack("=QQQ", flags, 0, _RESOLVE_IN_ROOT)
    for _ in range(_TRIES):
        descriptor = _libc.syscall(_SYS_OPENAT2, directory, name, how, ctypes.c_size_t(len(how)))
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise Denied("needs Linux 5.6 to look into another root directory")
        if number != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number), path)


def _read(descriptor: int, path: str, limit: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    while length <= limit:  # one byte more tells that there is more
        try:
            part = os.read(descriptor, min(limit + 1 - length, 1 << 20))
        except BlockingIOError:
            raise Malformed(f"{printable(path)} gives nothing without waiting") from None
        if not part:
            return b"".join(parts)
        parts.append(part)
        length += len(part)
    raise Malformed(f"{printable(path)} is larger than {limit} bytes")


def _kind(mode: int) -> FileKind:
    return _KINDS.get(stat.S_IFMT(mode), FileKind.DEVICE)


_KINDS = {
    stat.S_IFREG: FileKind.FILE,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFLNK: FileKind.SYMLINK,
    stat.S_IFSOCK: FileKind.SOCKET,
    stat.S_IFIFO: FileKind.FIFO,
}
