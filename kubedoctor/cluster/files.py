"""Writing files so that nobody ever sees half of one, and nobody can make us write elsewhere; reading what is there.

Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

_LARGEST = 64 << 20
"""Bytes of a document of ours that are read at all; that of a cluster of 50 components has some hundred thousand."""


def read_json(path: Path) -> Any:
    """Return the JSON document at *path*; raise OSError, or ValueError for whatever else is wrong with it."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(f"{size} bytes are too many")
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Replace *path* by *content* in one step: the old file or the new one is there, never a part.

    The temporary file stands in the same directory and is opened with O_EXCL | O_NOFOLLOW; a link at *path* is
    replaced, not followed. On any failure, a full disk included, the old file stays and the OSError goes up.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)  # the mode asked for, whatever the umask
            stream.write(data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make *path* with its parents; a directory that is there keeps its mode.

    Raise NotADirectoryError when something else stands there, and PermissionError when root would enter a directory
    that another user owns: its owner could swap what is inside for links.
    """
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{path} is not a directory")
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to user {found.st_uid}")
