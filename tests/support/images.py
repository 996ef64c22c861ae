"""Images to make pods of, where there is no registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor.cluster.binaries import provide
from kubedoctor.cluster.images import write_archive
from kubedoctor.components import Image, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError

PROBE = Image(name="docker.io/library/probe:latest", binary="probe", path="/probe")
"""Its commands are those of probe.go beside this file."""


def probe_archive(directory: Path) -> Path:
    """Return an archive with the probe, which is built the first time."""
    source = SourceBuild(file="probe.go", source=Path(__file__).with_name("probe.go").read_text(), version="v1.0.0")
    try:
        chosen = provide([PROBE.binary], ClusterConfig(download=False), lambda _: [source])
    except KubedoctorError as problem:
        pytest.fail(f"no probe: {problem.message}; {problem.hint}", pytrace=False)
    archive = directory / "probe.tar"
    write_archive(archive, [PROBE], {PROBE.binary: chosen[PROBE.binary].path})
    return archive
