"""Taking named files out of a tar archive, and nothing else."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from kubedoctor.errors import KubedoctorError

LARGEST = 1 << 30
"""Bytes a member may have at most; the largest binary of Kubernetes has 120 MB."""


def extract(archive: Path, members: Mapping[str, Path]) -> None:
    """Write each of *members* (path inside the archive -> file to write) as an ordinary file that nobody can run yet.

    Raise KubedoctorError when a member is missing, is a link or a device, or is too large. Names, owners and modes in
    the archive are not followed, so it cannot write anywhere else.
    """
    missing = dict(members)
    try:
        with tarfile.open(archive, "r|*") as tar:
            for info in tar:
                target = missing.pop(info.name.removeprefix("./"), None)
                if target is None:
                    continue
                stream = tar.extractfile(info) if info.isreg() else None
                if stream is None:
                    raise KubedoctorError(f"`{info.name}` in {archive.name} is not an ordinary file")
                if info.size > LARGEST:
                    raise KubedoctorError(f"`{info.name}` in {archive.name} is too large: {info.size} bytes")
                with stream, target.open("xb") as out:
                    target.chmod(0o600)
                    shutil.copyfileobj(stream, out, 1 << 20)
                if not missing:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as problem:
        raise KubedoctorError(f"{archive.name} is not an archive that can be read: {problem}") from problem
    raise KubedoctorError(f"{archive.name} does not hold {', '.join(f'`{name}`' for name in missing)}")
