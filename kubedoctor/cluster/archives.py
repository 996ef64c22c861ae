"""Archives of container images: which files are some, what is in them, whether they are whole. Standard library only.

OCI image layouts and what `docker save` writes, as containerd takes them, plain or compressed with gzip.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from kubedoctor.errors import UsageError
from kubedoctor.records import dataclass

ENDINGS = (".tar", ".tar.gz", ".tgz", ".oci", ".docker")
"""What files of a directory end in to be taken for archives; a file that is named may be called anything."""

_MOST_ENTRIES = 200_000
_LARGEST_DOCUMENT = 16 << 20
"""Bytes of an index, and of any header: those of real images have some kilobytes."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHERS = {b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"PK\x03\x04": "zip"}

_DOCUMENTS = ("oci-layout", "index.json", "manifest.json")
_NAME, _REFERENCE = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """An image in an archive: its name, "" when it has none, and the digest of its manifest where one is in there."""

    name: str
    digest: str = ""

    @property
    def full_name(self) -> str:
        """The name by which pods ask for it."""
        return full_name(self.name)


@dataclass(frozen=True, slots=True)
class Archive:
    """What is in an archive; `images` is None where only containerd can read it (zstd), or nothing was decompressed."""

    images: tuple[ArchivedImage, ...] | None


def archives_of(paths: Sequence[str]) -> tuple[str, ...]:
    """Return *paths* with each directory replaced by the archives in it, sorted by name.

    Raise UsageError for what is not there, and for a directory without any.
    """
    found: list[str] = []
    for path in paths:
        if not Path(path).is_dir():
            found.append(path)
            continue
        try:
            names = sorted(entry.name for entry in Path(path).iterdir() if entry.is_file())
        except OSError as problem:
            raise UsageError(f"{path}: cannot be read: {problem.strerror}") from None
        inside = [str(Path(path) / name) for name in names if name.endswith(ENDINGS)]
        if not inside and "oci-layout" in names:
            raise UsageError(
                f"{path} is an unpacked image, not an archive", hint=f"pack it: tar -C {path} -cf image.tar ."
            )
        if not inside:
            raise UsageError(
                f"there are no archives in {path}", hint=f"their names end in {', '.join(ENDINGS)}; or name the files"
            )
        found += inside
    return tuple(dict.fromkeys(found))


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Give the file at *path*; raise UsageError where it cannot be read."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise UsageError(f"{path} is not a file")
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else problem.strerror
        raise UsageError(f"{path}: {reason}", hint="name an archive of images that is there") from None
    with file:
        yield file


def inspect(file: IO[bytes], label: str, *, quick: bool = False) -> Archive:
    """Return what is in *file*, and leave it at its beginning; *label* is what errors call it.

    Headers and the index are read, the layers are not: whether these are what their digests say is containerd's to
    find. *quick* decompresses no more than the first entry. Raise UsageError for what is no archive of images or is cut
    short.
    """
    try:
        file.seek(0)
        start = file.read(6)
        file.seek(0)
        for magic, form in _OTHERS.items():
            if start.startswith(magic):
                raise UsageError(f"{label} is compressed with {form}, which containerd does not read", hint="unpack it")
        if start.startswith(_ZSTD):
            return Archive(None)
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as plain:
                return _inspect_tar(cast("IO[bytes]", plain), label, quick=quick)
        return _inspect_tar(file, label, quick=False)
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise _damaged(label, str(problem)) from None
    except OSError as problem:
        raise UsageError(f"{label}: cannot be read: {problem.strerror or problem}") from None
    finally:
        file.seek(0)


def full_name(name: str) -> str:
    """Return *name* as containerd and the kubelet know it: `busybox` is docker.io/library/busybox:latest."""
    if not name:
        return ""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not (set(first) & set(".:") or first == "localhost"):
        name = f"docker.io/{name}"
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def _inspect_tar(file: IO[bytes], label: str, *, quick: bool) -> Archive:
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Bounded(file)), mode="r:") as archive:
            if quick:
                archive.next()
                return Archive(None)
            names, documents = _read(archive, label)
    except (ValueError, RecursionError):  # of the documents; tarfile's own are TarErrors
        raise _damaged(label, "its index cannot be read") from None
    except tarfile.TarError as problem:
        if file.tell() <= tarfile.BLOCKSIZE:
            raise UsageError(
                f"{label} is not an archive of images", hint="`docker save` and `skopeo copy … oci-archive:` make some"
            ) from None
        raise _damaged(label, str(problem)) from None
    images = _oci_images(documents) if "oci-layout" in documents else _docker_images(documents)
    if images is None:
        raise UsageError(
            f"{label} holds no images: it is neither an OCI image layout nor what `docker save` writes",
            hint="a file system is no image: `docker import` or `buildah` make one of it",
        )
    missing = next((i.digest for i in images if i.digest and f"blobs/{i.digest.replace(':', '/')}" not in names), "")
    if missing:
        raise _damaged(label, f"it lacks {missing}, which its index names")
    return Archive(images)


def _read(archive: tarfile.TarFile, label: str) -> tuple[set[str], dict[str, Any]]:
    """Return the names of all entries, and the documents that tell of the images."""
    names, documents = set(), dict[str, Any]()
    for count, entry in enumerate(archive):
        if count >= _MOST_ENTRIES:
            raise UsageError(f"{label} is not an archive of images: it has more than {_MOST_ENTRIES} entries")
        name = entry.name.removeprefix("./")
        names.add(name)
        if name in _DOCUMENTS and entry.isfile() and entry.size <= _LARGEST_DOCUMENT:
            content = archive.extractfile(entry)
            documents[name] = json.loads(content.read(_LARGEST_DOCUMENT)) if content else None
    return names, documents


def _damaged(label: str, why: str) -> UsageError:
    return UsageError(f"{label} is damaged: {why}", hint="make or fetch it again")


def _oci_images(documents: dict[str, Any]) -> tuple[ArchivedImage, ...] | None:
    index = documents.get("index.json")
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(manifests, list):
        return None
    images = []
    for manifest in manifests:
        if isinstance(manifest, dict) and isinstance(digest := manifest.get("digest"), str):
            notes = manifest.get("annotations")
            notes = notes if isinstance(notes, dict) else {}
            images.append(ArchivedImage(str(notes.get(_NAME) or notes.get(_REFERENCE) or ""), digest))
    return tuple(images)


def _docker_images(documents: dict[str, Any]) -> tuple[ArchivedImage, ...] | None:
    """Return the images of a manifest.json; containerd writes their names in full by itself."""
    entries = documents.get("manifest.json")
    if not isinstance(entries, list):
        return None
    images = []
    for entry in entries:
        tags = entry.get("RepoTags") if isinstance(entry, dict) else None
        names = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
        images += [ArchivedImage(full_name(name)) for name in names] or [ArchivedImage("")]
    return tuple(images)


class _Bounded:
    """A file that gives no more at a time than any true header holds: a length in a header is no reason to read it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_DOCUMENT + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()
