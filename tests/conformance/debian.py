"""Programs of Debian as a layer of an image: taken out of its packages, nothing is installed and nothing of them run.

Kubernetes makes the images of its tests of Alpine Linux; these stand in for the programs that tests call by name.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from kubedoctor.errors import KubedoctorError

_MERGED = ("lib", "lib64")
"""Directories that packages still name at the top, where the loader looks for them too."""
_USELESS = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/", "etc/init.d/")


def fetched(packages: Sequence[str], directory: Path) -> list[Path]:
    """Return files of *packages* and of all that they depend on, got by apt into *directory*."""
    partial = directory / "partial"
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="kubedoctor-apt-") as state:
        nothing = Path(state) / "status"  # as if nothing were installed, so that everything needed is named
        nothing.touch()
        options = {
            "Dir::State::status": nothing,
            "Dir::Cache::archives": directory,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "true",
        }
        chosen = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        argv = ["apt-get", *chosen, "--download-only", "--yes", "--quiet=2", "install", *packages]
        try:
            subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600)
        except FileNotFoundError:
            raise KubedoctorError("apt-get is not there: these images are made of Debian's packages") from None
        except subprocess.CalledProcessError as problem:
            reason = problem.stderr.strip().splitlines()[-1:] or ["it says nothing"]
            raise KubedoctorError(
                f"apt-get: {reason[0]}", hint="run `apt-get update`, and see `apt-cache policy`"
            ) from None
    return sorted(directory.glob("*.deb"))


def write_layer(archive: tarfile.TarFile, packages: Sequence[Path]) -> None:
    """Add the files of *packages*, without documentation; /lib is a link to /usr/lib, /bin a directory as in Alpine."""
    seen: set[str] = set()
    for name in _MERGED:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
        archive.addfile(link)
    for package in packages:
        for entry, content in _files(package):
            if entry.name not in seen:
                seen.add(entry.name)
                archive.addfile(entry, content)


def _files(package: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    with unpacking, tarfile.open(fileobj=cast("IO[bytes]", unpacking.stdout), mode="r|") as content:
        for entry in content:
            name = _placed(entry.name)
            if not name or name in _MERGED or name.startswith(_USELESS):
                continue
            entry.name, entry.mtime = name, 0
            if entry.islnk():
                entry.linkname = _placed(entry.linkname)
            yield entry, content.extractfile(entry) if entry.isreg() else None
    if unpacking.returncode:
        raise KubedoctorError(f"dpkg-deb cannot read {package}")


def _placed(name: str) -> str:
    """Return where a file of a package is put."""
    name = name.removeprefix(".").strip("/")
    return f"usr/{name}" if name.startswith(tuple(f"{top}/" for top in _MERGED)) else name
