"""The certificate directory: one process at a time, files of our own only, never half of one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from kubedoctor.cluster.files import make_directory, write_atomically
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

CERTIFICATE_MODE = 0o644
KEY_MODE = 0o600


class NotOurs(Exception):  # noqa: N818 - a state of a file
    """What stands at a path must not be trusted; the message completes `<file> …`."""


@dataclass(slots=True)
class Store:
    """An open certificate directory, and the record of what was written to it."""

    directory: Path
    reasons: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Return the path of the file *name*."""
        return self.directory / name

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None when there is none; raise NotOurs for a link or another user's file."""
        try:
            descriptor = os.open(self.path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise NotOurs(_why_not_opened(problem)) from None
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise NotOurs("is not a regular file")
            if found.st_uid not in (0, os.geteuid()):
                raise NotOurs(f"belongs to user {found.st_uid}")
            if name.endswith(".key") and found.st_mode & 0o077:
                self.notes.append(f"{self.path(name)} was open to others (mode {found.st_mode & 0o777:o}); now 600")
                os.fchmod(descriptor, KEY_MODE)
            return stream.read()

    def exists(self, name: str) -> bool:
        """Return whether anything stands at the path of *name*."""
        return os.path.lexists(self.path(name))

    def write_pair(self, name: str, certificate: bytes, key: bytes, *, reason: str) -> None:
        """Write <name>.key and <name>.crt and record *reason*: why they had to be written."""
        # The key goes first: a crash in between leaves a pair that does not match, which the next run notices.
        write_atomically(self.path(f"{name}.key"), key, mode=KEY_MODE)
        write_atomically(self.path(f"{name}.crt"), certificate, mode=CERTIFICATE_MODE)
        self.reasons[name] = reason


def _why_not_opened(problem: OSError) -> str:
    if problem.errno == errno.ELOOP:
        return "is a symbolic link"
    return f"cannot be read: {os.strerror(problem.errno or 0)}"


@contextlib.contextmanager
def open_store(directory: Path) -> Iterator[Store]:
    """Make *directory* (0700) and hold its lock; an OSError inside becomes a KubedoctorError that names the file."""
    try:
        make_directory(directory)
        found = directory.stat()
        if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            raise KubedoctorError(
                f"other users can write to {directory}: keys are not safe there",
                hint=f"chmod 700 {directory}\nor choose another directory by CERT_DIR",
            )
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # another `up` of this cluster issues for some milliseconds at most
            yield Store(directory)
        finally:
            os.close(descriptor)
    except PermissionError as problem:
        raise KubedoctorError(
            f"cannot write certificates to {directory}: {problem.strerror or problem}",
            hint="choose a directory of your own by CERT_DIR, or leave it unset",
        ) from None
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # told by those who know what a cluster needs
        raise KubedoctorError(f"cannot write certificates to {directory}: {problem.strerror or problem}") from None
