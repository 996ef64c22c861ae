"""`kubedoctor images` where nothing runs; what it does in a cluster is in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import call


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("arguments", [("load", "images.tar"), ("list",)])
def test_a_cluster_that_is_not_there_is_told_with_what_makes_it(arguments: tuple[str, ...]) -> None:
    done = call("images", *arguments)
    assert done.status == 1
    assert done.out == ""
    assert "error: there is no cluster `local`" in done.err
    assert "kubedoctor up" in done.err


def test_stdin_is_read_once() -> None:
    done = call("images", "load", "-", "-")
    assert done.status == 2
    assert "error: stdin can be read once" in done.err


@pytest.mark.parametrize(
    ("content", "said"), [(b"root:x:0:0:", "is not an archive of images"), (None, "there is no such file")]
)
def test_up_refuses_an_archive_that_is_none(home: Path, content: bytes | None, said: str) -> None:
    archive = home / "images.tar"
    if content is not None:
        archive.write_bytes(content)
    done = call("up", "--node", "--image-archive", str(archive))
    assert done.status == 2
    assert f"error: --image-archive: {archive}" in done.err
    assert said in done.err
    assert not (home / "clusters").exists()


def test_up_refuses_a_directory_without_archives(home: Path) -> None:
    done = call("up", "--node", "--image-archive", str(home))
    assert done.status == 2
    assert f"error: --image-archive: there are no archives in {home}" in done.err
