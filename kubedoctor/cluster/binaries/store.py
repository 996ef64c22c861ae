"""The cache of binaries: what is there, and how something gets there.

A binary is at <cache>/bin/<name>/<version>/<name>; those that belong together at <cache>/bin/<folder>/<version>/<name>.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kubedoctor.cluster.binaries.versions import Version
from kubedoctor.cluster.files import make_directory
from kubedoctor.cluster.paths import cache
from kubedoctor.errors import KubedoctorError, PluginError
from kubedoctor.records import dataclass

_PART = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A binary in the cache. `size` in bytes."""

    name: str
    version: str
    path: Path
    size: int

    @property
    def folder(self) -> str:
        """What it lies in with those that belong to it; its own name for most."""
        return self.path.parent.parent.name


def path_of(name: str, version: str, folder: str = "") -> Path:
    """Return where a binary is kept, there or not; raise PluginError for names that would lead elsewhere."""
    for part in (name, version, folder or name):
        if not _PART.fullmatch(part):
            raise PluginError(f"`{part}` cannot be part of a path in the cache")
    return cache() / "bin" / (folder or name) / version / name


def is_there(name: str, version: str, folder: str = "") -> bool:
    """Return whether the cache has this binary."""
    return _is_program(path_of(name, version, folder))


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def entries(name: str = "") -> list[Entry]:
    """Return what the cache holds, of one name or of all, the newest version of each name first."""
    found = []
    for path in (cache() / "bin").glob(f"*/*/{name or '*'}"):
        if _is_program(path):
            size = path.stat().st_size
            found.append(Entry(name=path.name, version=path.parent.name, path=path, size=size))
    oldest = Version(0, 0)
    found.sort(key=lambda entry: Version.parse(entry.version) or oldest, reverse=True)
    return sorted(found, key=lambda entry: entry.name)


def directory(name: str) -> Path:
    """Return a directory of the cache, made if need be; raise KubedoctorError when that cannot be."""
    path = cache() / name
    with clear_errors():
        make_directory(path)
    return path


@contextlib.contextmanager
def workshop(key: str) -> Iterator[Path]:
    """Give an empty directory in the cache and remove it at the end, with those of builds that were killed.

    The caller holds the lock of *key*.
    """
    parent = directory("build")
    with clear_errors():
        for left in parent.glob(f"{key}~*"):
            shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=f"{key}~", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def install(source: Path, name: str, version: str, folder: str = "") -> Path:
    """Move the verified file *source*, of the same file system, to its place, where it can be run."""
    target = path_of(name, version, folder)
    with clear_errors():
        make_directory(target.parent)
        with source.open("rb") as stream:
            os.fsync(stream.fileno())  # the name must not outlive a power cut without the content
        source.chmod(0o755)
        source.replace(target)
    return target


@contextlib.contextmanager
def lock(key: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold what only one process may do at a time; *waiting* is called when another one does it now."""
    with clear_errors():
        descriptor = os.open(_lock_file(key), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock_file(key: str) -> Path:
    return directory("locks") / (re.sub(r"[^\w.+-]", "_", key)[:200] + ".lock")


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what the file system refuses into an error that says what to do."""
    try:
        yield
    except OSError as problem:
        where = cache()
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "make room with `kubedoctor binaries prune`, or set XDG_CACHE_HOME to a larger disk"
            raise KubedoctorError(f"the disk with {where} is full", hint=hint) from problem
        what = problem.strerror or str(problem)
        raise KubedoctorError(
            f"the cache {where} cannot be written: {what}", hint="set XDG_CACHE_HOME to a directory of yours"
        ) from problem


def prune(kept: Iterable[tuple[str, str]], *, dry_run: bool = False) -> list[Entry]:
    """Remove all binaries but *kept* (folder, version), and what interrupted work left; return what was removed.

    The folder of a binary that has none is its name.
    """
    keep = set(kept)
    doomed = [entry for entry in entries() if (entry.folder, entry.version) not in keep]
    if dry_run:
        return doomed
    with clear_errors():
        for directory_of_version in {entry.path.parent for entry in doomed}:
            shutil.rmtree(directory_of_version)
            with contextlib.suppress(OSError):  # other versions are left
                directory_of_version.parent.rmdir()
        _sweep()
    return doomed


def _sweep() -> None:
    """Remove partial downloads, abandoned builds and answers of binaries, unless someone works on them, and images.

    The archives of images are made anew where they are missing; a cluster has a link of its own to the one it uses.
    """
    for leftover in [*(cache() / "download").glob("*"), *(cache() / "build").glob("*")]:
        with _if_free(leftover.name.partition("~")[0]) as free:
            if free:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    for derived in ("probes", "images"):
        shutil.rmtree(cache() / derived, ignore_errors=True)


@contextlib.contextmanager
def _if_free(key: str) -> Iterator[bool]:
    with _lock_file(key).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
