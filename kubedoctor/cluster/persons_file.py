"""A file in somebody's home, changed with that person's rights and no more.

Root follows no link and enters no directory there with rights of its own: it acts as the person (effective user, group
and groups), so that the kernel refuses what the person could not do. The lock `<file>.lock` is the one kubectl takes.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kubedoctor.cluster.files import write_atomically
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

_LIMIT_BYTES = 8 << 20
_LOCK_SECONDS = 2.0  # kubectl holds it for milliseconds


@dataclass(frozen=True, slots=True)
class Person:
    """A user to act as."""

    uid: int
    gid: int
    home: Path


def sudo_caller(environment: Mapping[str, str]) -> Person | None:
    """Return who called sudo, None when nobody did or root itself."""
    uid = environment.get("SUDO_UID", "")
    if os.geteuid() != 0 or not uid.isdecimal() or uid == "0":
        return None
    try:
        entry = pwd.getpwuid(int(uid))
    except KeyError:
        raise KubedoctorError(f"user {uid}, who called sudo, has no entry in the user database") from None
    return Person(entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def owner_of(path: Path) -> Person | None:
    """Return whom root has to act as at *path*, None for itself.

    The first directory or link on the way that is not root's decides: its owner can make the rest lead anywhere.
    """
    if os.geteuid() != 0:
        return None
    for place in (*reversed(path.parents), path):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = place.lstat()
            if found.st_uid != 0:
                return person(found.st_uid, found.st_gid)
    return None


def person(uid: int, gid: int) -> Person:
    """Return the user *uid*; *gid* is its group when the user database does not know it."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(uid, gid, Path("/"))
    return Person(uid, entry.pw_gid, Path(entry.pw_dir))


@contextlib.contextmanager
def acting_as(who: Person | None) -> Iterator[None]:
    """Have the rights of *who* inside the block; None changes nothing. The whole process changes, not a thread."""
    if who is None or who.uid == os.geteuid():
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    try:
        os.setgroups(_groups(who))
        os.setegid(who.gid)
        os.seteuid(who.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _groups(who: Person) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(who.uid).pw_name, who.gid)
    except KeyError:
        return [who.gid]


@dataclass(frozen=True, slots=True)
class PersonsFile:
    """The file at `path`, touched as `who` only."""

    path: Path
    who: Person | None

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold `<file>.lock`, and yield whether the directory had to be made; raise KubedoctorError."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        with self._as_person():
            made = not self.path.parent.exists()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take(lock)
        try:
            yield made
        finally:
            with self._as_person(), contextlib.suppress(FileNotFoundError):
                lock.unlink()

    def _take(self, lock: Path) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0))
                return
            except FileExistsError:
                if time.monotonic() > deadline:
                    raise KubedoctorError(
                        f"another program holds {lock}", hint=f"if no kubectl runs it is left over: rm {lock}"
                    ) from None
                time.sleep(0.02)  # nothing tells when another program removes its lock

    def read(self) -> str | None:
        """Return the text, None when there is no file; raise KubedoctorError for what is no text."""
        with self._as_person():
            try:
                with self.path.open("rb") as stream:
                    data = stream.read(_LIMIT_BYTES + 1)
            except FileNotFoundError:
                return None
        if len(data) > _LIMIT_BYTES:
            raise KubedoctorError(f"{self.path} is not a kubeconfig: it has more than {_LIMIT_BYTES >> 20} MiB")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise KubedoctorError(f"{self.path} is not a kubeconfig: it is no UTF-8 text") from None

    def write(self, text: str) -> int:
        """Replace the content in one step and return the mode; mode and group stay, a new file is 0600.

        A link is followed with the person's rights and stays a link.
        """
        with self._as_person():
            target = Path(os.path.realpath(self.path))
            try:
                found = target.stat()
            except FileNotFoundError:
                write_atomically(target, text)
                return 0o600
            if found.st_uid != os.geteuid():
                raise KubedoctorError(
                    f"{target} belongs to user {found.st_uid}", hint="name another file by KUBECONFIG"
                )
            mode = found.st_mode & 0o777
            write_atomically(target, text, mode=mode)
            with contextlib.suppress(PermissionError):  # a group the person has left
                os.chown(target, -1, found.st_gid)
            return mode

    def remove(self) -> None:
        """Remove the file, and its directory if it is empty then."""
        with self._as_person():
            self.path.unlink(missing_ok=True)

    def remove_directory(self) -> None:
        """Remove the directory of the file if nothing is in it."""
        with self._as_person(), contextlib.suppress(OSError):
            self.path.parent.rmdir()

    @contextlib.contextmanager
    def _as_person(self) -> Iterator[None]:
        try:
            with acting_as(self.who):
                yield
        except OSError as problem:
            user = f" (as user {self.who.uid})" if self.who else ""
            raise KubedoctorError(f"{problem.filename or self.path}: {problem.strerror or problem}{user}") from None
