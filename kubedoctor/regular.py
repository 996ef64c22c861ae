"""Files that a person names: opened only when they are files, since a pipe or a device would be waited for without end.

Standard library only. What a machine may hold of anybody's is read through `kubedoctor.host`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | Path, *, largest: int = 0) -> BinaryIO:
    """Return the file at *path*, opened for reading, of *largest* bytes at most when it is given.

    Raise OSError, whose `strerror` says in a few words what is wrong: `it is a pipe, not a file` is one of them.
    """
    _insist(os.stat(path), path, largest)  # noqa: PTH116 - before it is opened: that alone would wake a pipe's writer
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _insist(os.fstat(descriptor), path, largest)  # by now something else may stand there
        return open(descriptor, "rb")  # noqa: PTH123 - it has no path any more
    except BaseException:
        os.close(descriptor)
        raise


def _insist(found: os.stat_result, path: str | Path, largest: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(number, f"it is {kind}, not a file", str(path))
    if 0 < largest < found.st_size:
        raise OSError(errno.EFBIG, f"it is larger than {largest} bytes", str(path))
