"""Container images made of single static binaries, as one OCI archive: for pods where no registry can be asked.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md; the same binaries give the same archive.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from kubedoctor.components import Image
from kubedoctor.records import dataclass

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: str
    size: int


def write_archive(target: Path, images: Sequence[Image], binaries: Mapping[str, str], kept: Path | None = None) -> bool:
    """Write *images* to *target* and return True; False when it holds just these already.

    *binaries* are paths by the names that the images give. A file beside the archive tells what it was made of: size
    and time of each binary, so that nothing has to be read when nothing has changed. Where *kept* is given, archives
    are made in that directory and shared by all clusters: each takes 0.2 s.
    """
    recipe = json.dumps([_recipe(image, Path(binaries[image.binary])) for image in images])
    note = target.with_name(f"{target.name}.made-of")
    if target.exists() and note.exists() and note.read_text() == recipe:
        return False
    if kept is None:
        _write(target, images, binaries)
    else:
        source = kept / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.tar"
        if not source.exists():
            _write(source, images, binaries)
        _share(source, target)
    note.write_text(recipe)
    return True


def _write(target: Path, images: Sequence[Image], binaries: Mapping[str, str]) -> None:
    with _replacing(target) as file, tarfile.open(fileobj=file, mode="w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        manifests = [_add_image(archive, image, Path(binaries[image.binary]), target.parent) for image in images]
        _add(archive, "index.json", _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}))


def _share(source: Path, target: Path) -> None:
    """Let *target* be the file *source* too, or a copy where a file system does not allow that."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _recipe(image: Image, binary: Path) -> dict[str, Any]:
    found = binary.stat()
    return {
        "image": image.name,
        "path": image.path,
        "arguments": image.arguments,
        "user": image.user,
        "binary": str(binary),
        "size": found.st_size,
        "modified": found.st_mtime_ns,
    }


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Give a file that takes the place of *target* when all has been written, and is removed when not."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _add_image(archive: tarfile.TarFile, image: Image, binary: Path, directory: Path) -> dict[str, Any]:
    """Add the blobs of one image; return its entry in the index."""
    layer = _add_layer(archive, image.path, binary, directory)
    platform_of = {"os": "linux", "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine())}
    config = {
        **platform_of,
        "config": {"Entrypoint": [image.path, *image.arguments], "User": image.user, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created_by": "kubedoctor"}],
    }
    config_blob = _add_blob(archive, _json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config_blob.digest, "size": config_blob.size},
        "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}],
    }
    blob = _add_blob(archive, _json(manifest))
    return {
        "mediaType": _MANIFEST,
        "digest": blob.digest,
        "size": blob.size,
        "platform": platform_of,
        "annotations": {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name},
    }


def _add_layer(archive: tarfile.TarFile, path: str, binary: Path, directory: Path) -> _Blob:
    """Add a layer with the binary at *path*: written to *directory* first, for its digest is its name."""
    with TemporaryFile(dir=directory) as file:
        with tarfile.open(fileobj=file, mode="w") as layer, binary.open("rb") as content:
            for parent in reversed(Path(path.lstrip("/")).parents[:-1]):
                layer.addfile(_entry(str(parent), mode=0o755, kind=tarfile.DIRTYPE))
            layer.addfile(_entry(path.lstrip("/"), mode=0o755, size=binary.stat().st_size), content)
        size = file.tell()
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        archive.addfile(_entry(f"blobs/sha256/{digest}", size=size), file)
    return _Blob(f"sha256:{digest}", size)


def _add_blob(archive: tarfile.TarFile, content: bytes) -> _Blob:
    digest = hashlib.sha256(content).hexdigest()
    _add(archive, f"blobs/sha256/{digest}", content)
    return _Blob(f"sha256:{digest}", len(content))


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, size=len(content)), io.BytesIO(content))


def _entry(name: str, *, size: int = 0, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type = size, mode, kind
    return entry


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
