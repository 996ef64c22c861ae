"""Waiting for changes of files: inotify(7), which Python has no module for. Standard library only."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path
from typing import NamedTuple, Self

MODIFY, ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, OVERFLOW, ONLY_DIRECTORY = 0x400, 0x800, 0x4000, 0x1000000

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_BUFFER = 64 * 1024  # some hundred events; one needs at most 16 + 255 + 1 bytes
_libc = ctypes.CDLL(None, use_errno=True)


class Change(NamedTuple):
    """One event: the watch it is of, what happened, and to which entry of a watched directory."""

    watch: int
    mask: int
    name: str


class Inotify:
    """A set of watches; its descriptor is readable when something happened."""

    def __init__(self) -> None:
        """Raise OSError when no instance is to be had: root's are limited to fs.inotify.max_user_instances."""
        self._descriptor = _checked(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all watches."""
        os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._descriptor

    def watch(self, path: Path | str, mask: int) -> int:
        """Watch what stands at *path* now, also when it is renamed; return the number of the watch."""
        return _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask)), str(path))

    def wait(self, timeout: float | None = None) -> list[Change]:
        """Return what happened, as soon as something did; [] after *timeout* seconds."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            return []
        return self._read()

    def _read(self) -> list[Change]:
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return []
        changes, start = [], 0
        while start < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, start)
            start += _HEADER.size + length
            changes.append(Change(watch, mask, os.fsdecode(data[start - length : start].rstrip(b"\0"))))
        return changes


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
