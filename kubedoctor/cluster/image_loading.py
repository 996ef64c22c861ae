"""The images of a running node: loading archives into its containerd, and what is there.

The socket is reached through the root directory of the sandbox's pid 1, so nothing has to be entered, and `ctr` runs
as whoever asks. Which `ctr`, with which address and namespace, the plan tells: by the component that loads images.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kubedoctor.cluster.archives import Archive, inspect, opened
from kubedoctor.cluster.documents import WELL, PlannedComponent, Status
from kubedoctor.cluster.identity import ProcessIdentity, open_process
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.settling import read_plan
from kubedoctor.errors import KubedoctorError, NotRunning, UsageError
from kubedoctor.records import dataclass

LOADER, RUNTIME = "images", "containerd"

_ROW = re.compile(r"(?P<name>\S+)\s+(?P<type>\S+)\s+(?P<digest>sha256:[0-9a-f]{64})\s")
_GLANCE = 0.2
"""Seconds between two looks at how far a load is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of the node. `size_bytes` is that of its compressed content, None where it is not known.

    `made_of` names the binary that kubedoctor made it of, "" for one that came from elsewhere.
    """

    name: str
    digest: str
    size_bytes: int | None
    made_of: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one running place."""

    _ctr: tuple[str, ...]  # up to the command
    _import: tuple[str, ...]  # the command that loads what it reads from the file named last
    _root: int | None  # descriptor of the sandbox's root directory
    _made: str  # archive of the images made of binaries

    def load(self, file: IO[bytes], archive: Archive, label: str, watch: Callable[[int], None]) -> tuple[str, ...]:
        """Load *file* and return the names of what was in it; *watch* is told now and then how many bytes are read.

        Raise UsageError when containerd finds the archive damaged, KubedoctorError when it fails otherwise.
        """
        before = set() if archive.images is not None else {name for name, _ in self._stored()}
        argv = [*self._ctr, *self._import, "-"]
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # what a buffered file says of its place is not where the kernel is
        with subprocess.Popen(
            argv, stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=self._passed, text=True
        ) as process:
            try:
                said = _followed(process, file, watch)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise _load_error(label, said)
        if archive.images is None:
            return tuple(sorted({name for name, _ in self._stored()} - before))
        for image in archive.images:
            if image.name and image.full_name != image.name:  # pods would not find it by the short one
                self._run("images", "tag", "--force", image.name, image.full_name)
                self._run("images", "rm", image.name)
        return tuple(dict.fromkeys(image.full_name or image.digest for image in archive.images))

    def all(self) -> list[StoredImage]:
        """Return the images by name, each once."""
        made, sizes = _made_images(self._made), dict[str, int | None]()
        found = []
        for name, digest in self._stored():
            if digest not in sizes:
                sizes[digest] = self._size(digest)
            binary, of = made.get(name, ("", ""))
            made_of = binary if of == digest else ""
            found.append(StoredImage(name=name, digest=digest, size_bytes=sizes[digest], made_of=made_of))
        return found

    def _stored(self) -> list[tuple[str, str]]:
        """Return (name, digest) of each image; the nameless entries that containerd keeps beside them are left out."""
        rows = [_ROW.match(line) for line in self._run("images", "ls").splitlines()]
        return sorted((row["name"], row["digest"]) for row in rows if row and not row["name"].startswith("sha256:"))

    def _size(self, digest: str) -> int | None:
        """Return the size of everything an image consists of here; None when its manifest cannot be read."""
        try:
            manifest = json.loads(self._run("content", "get", digest))
            if "manifests" in manifest:  # an index: those for other machines are mostly not there
                sizes = [self._size(one["digest"]) for one in manifest["manifests"]]
                return sum(size for size in sizes if size is not None)
            return sum(int(blob["size"]) for blob in (manifest["config"], *manifest["layers"]))
        except (KubedoctorError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def _passed(self) -> Sequence[int]:
        return () if self._root is None else (self._root,)

    def _run(self, *arguments: str) -> str:
        """Run `ctr` and return what it prints; raise KubedoctorError with what it says."""
        done = subprocess.run(
            [*self._ctr, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=self._passed,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise KubedoctorError(f"containerd: {_last_line(done.stderr)}", hint="kubedoctor logs containerd")
        return done.stdout


@contextmanager
def images_of(cluster: ClusterPaths, status: Status) -> Iterator[Images]:
    """Give the images of a running cluster; raise KubedoctorError where it has no containerd that answers."""
    place = status.places[0]
    plan = read_plan(cluster.place(place.name))
    option = "" if cluster.name == "local" else f" --name {cluster.name}"
    loader = next((component for component in plan.components if component.name == LOADER), None)
    if loader is None:
        raise KubedoctorError(
            f"cluster `{cluster.name}` runs no containerd of its own: it has no images",
            hint=f"give it a node: kubedoctor up --node{option}",
        )
    runtime = next((component for component in status.components if component.name == RUNTIME), None)
    if runtime is not None and runtime.state not in WELL:
        raise NotRunning(
            f"containerd of cluster `{cluster.name}` is {runtime.state}",
            hint=f"see why: kubedoctor logs containerd{option}",
        )
    ctr, root = _ctr(loader), None
    if place.kind == "sandbox":
        root = _root_of(ProcessIdentity(place.supervisor.pid, place.supervisor.start_ticks))
        ctr = tuple(f"/proc/self/fd/{root}{word}" if at and ctr[at - 1] == "--address" else word
                    for at, word in enumerate(ctr))  # fmt: skip
    try:
        yield Images(ctr, loader.argv[len(ctr) : -1], root, loader.argv[-1])
    finally:
        if root is not None:
            os.close(root)


def _ctr(loader: PlannedComponent) -> tuple[str, ...]:
    """Return what of the loader's command line comes before `images import`."""
    return loader.argv[: loader.argv.index("images")]


def _root_of(process: ProcessIdentity) -> int:
    """Return a descriptor of the root directory of *process*: held first, then looked whether it is still the same."""
    try:
        root = os.open(f"/proc/{process.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotRunning("the sandbox has ended", hint="see `kubedoctor status`") from None
    except OSError as problem:
        raise KubedoctorError(
            f"the sandbox cannot be looked into: {problem.strerror}", hint="as the user who started it, or as root"
        ) from None
    handle = open_process(process)
    if handle is None:
        os.close(root)
        raise NotRunning("the sandbox has ended", hint="see `kubedoctor status`")
    os.close(handle)
    return root


def _followed(process: subprocess.Popen[str], file: IO[bytes], watch: Callable[[int], None]) -> str:
    """Wait for *process*, which reads *file* through a descriptor whose position is ours too; return its errors."""
    while True:
        try:
            return process.communicate(timeout=_GLANCE)[1]
        except subprocess.TimeoutExpired:
            watch(os.lseek(file.fileno(), 0, os.SEEK_CUR))


def _load_error(label: str, said: str) -> KubedoctorError:
    reason = _last_line(said)
    if "no space left on device" in reason:
        return KubedoctorError(f"{label} was not loaded: {reason}", hint="make room there, then load it again")
    if re.search(r"short read|unexpected EOF|digest|invalid tar|checksum|unrecognized image|unexpected commit", reason):
        return UsageError(f"{label} is damaged: {reason}", hint="make or fetch it again")
    return KubedoctorError(f"{label} was not loaded: {reason}", hint="kubedoctor logs containerd")


def _last_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("ctr: ").strip() if lines else "it said nothing"


def _made_images(archive: str) -> dict[str, tuple[str, str]]:
    """Return (binary, digest) by name of the images in the archive of those made of binaries; {} when there is none."""
    try:
        recipe: list[dict[str, Any]] = json.loads(Path(f"{archive}.made-of").read_text())
        with opened(archive) as file:
            images = inspect(file, archive).images or ()
        binaries = {str(one["image"]): Path(str(one["binary"])).name for one in recipe}
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return {}
    return {image.name: (binaries[image.name], image.digest) for image in images if image.name in binaries}
