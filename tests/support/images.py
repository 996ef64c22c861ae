"""Images to make pods of, where there is no registry."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.cluster.images import write_archive
from kubedoctor.components import Image, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError

PROBE = Image(name="docker.io/library/probe:latest", binary="probe", path="/probe")
"""Its commands are those of probe.go beside this file."""
TAR = Image(name="docker.io/library/tar:latest", binary="probe", path="/bin/tar")
"""The same program, where `kubectl cp` finds it."""


def probe_binary() -> str:
    """Return the path of the probe, which is built the first time."""
    text = Path(__file__).with_name("probe.go").read_text()
    # It is kept by its version, so another text has another one.
    source = SourceBuild(file="probe.go", source=text, version=f"v1.0.{zlib.crc32(text.encode())}")
    try:
        return provide([PROBE.binary], ClusterConfig(download=False), lambda _: [source])[PROBE.binary].path
    except KubedoctorError as problem:
        pytest.fail(f"no probe: {problem.message}; {problem.hint}", pytrace=False)


def probe_archive(directory: Path, *others: Image) -> Path:
    """Return an archive with the probe, and with *others* that are made of it."""
    archive = directory / "probe.tar"
    write_archive(archive, [PROBE, *others], {PROBE.binary: probe_binary()})
    return archive
