"""Programs out of packages of the distribution, which are unpacked and not installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from kubedoctor.cluster.paths import cache


def unpacked(package: str) -> Path:
    """Return a directory with the files of a package of apt's, kept in the user's cache; skip where there is no apt."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip(f"there is no apt to get {package} by")
    told = subprocess.run(["apt-get", "download", "--print-uris", package], capture_output=True, text=True, check=False)
    if told.returncode != 0 or not told.stdout.strip():
        pytest.skip(f"apt knows no package {package}: {told.stderr.strip()}")
    name = told.stdout.split()[1]
    directory = cache() / "test-packages" / name
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as work:  # several workers may be at it
        done = subprocess.run(["apt-get", "download", package], cwd=work, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"apt gets no {package}: {done.stderr.strip()}")
        (archive,) = Path(work).glob("*.deb")
        subprocess.run(["dpkg", "-x", str(archive), "files"], cwd=work, check=True)
        try:
            (Path(work) / "files").rename(directory)
        except OSError:
            assert directory.exists(), "the package cannot be kept"
    return directory
