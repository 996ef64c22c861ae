"""A cache of the test's own, programs that tell a version, and a mirror on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mirror import Mirror, Program, serving


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has an empty cache, no binaries on PATH but the system's, and no proxy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return tmp_path / "cache" / "kubedoctor"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Make a program that tells *version* and counts in `<path>.asked` how often it was run."""

    def make(name: str, version: str = "v1.37.2", where: str = "bin", *, body: str = "") -> Path:
        path = tmp_path / where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho run >> '{path}.asked'\n{body or f'echo Kubernetes {version}'}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror of releases."""
    with serving() as served:
        yield served
