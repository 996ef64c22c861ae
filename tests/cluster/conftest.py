"""A place of fake components, run by the real keeper and supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubedoctor.cluster.paths import PlacePaths


@pytest.fixture
def place(tmp_path: Path) -> PlacePaths:
    paths = PlacePaths(tmp_path / "place")
    for directory in (paths.directory, paths.config, paths.logs, paths.data):
        directory.mkdir(mode=0o700)
    return paths
