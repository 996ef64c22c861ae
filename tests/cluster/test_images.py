"""Archives of images made of binaries: what an OCI reader finds in them."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kubedoctor.cluster.images import write_archive
from kubedoctor.components import Image

PAUSE = Image(name="registry.example/pause:1", binary="pause", path="/pause", user="65535:65535")
SERVER = Image(name="registry.example/a/server:2", binary="server", path="/usr/bin/server", arguments=("-conf", "/c"))


@pytest.fixture
def binaries(tmp_path: Path) -> dict[str, str]:
    for name, content in (("pause", b"\x7fELF pause"), ("server", b"\x7fELF server" * 1000)):
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in ("pause", "server")}


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        found = {}
        for entry in opened:
            content = opened.extractfile(entry)
            assert content is not None
            found[entry.name] = content.read()
    return found


def blob(found: dict[str, bytes], digest: str) -> bytes:
    return found[f"blobs/sha256/{digest.removeprefix('sha256:')}"]


def image(found: dict[str, bytes], name: str) -> tuple[dict[str, Any], bytes]:
    """Return the configuration and the layer of an image."""
    index = json.loads(found["index.json"])
    (entry,) = [one for one in index["manifests"] if one["annotations"]["io.containerd.image.name"] == name]
    manifest = json.loads(blob(found, entry["digest"]))
    (layer,) = manifest["layers"]
    return json.loads(blob(found, manifest["config"]["digest"])), blob(found, layer["digest"])


def test_each_image_holds_its_binary_where_it_says(tmp_path: Path, binaries: dict[str, str]) -> None:
    target = tmp_path / "images.tar"
    assert write_archive(target, [PAUSE, SERVER], binaries)
    config, layer = image(blobs(target), SERVER.name)
    assert config["config"] == {"Entrypoint": ["/usr/bin/server", "-conf", "/c"], "User": "", "WorkingDir": "/"}
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        assert opened.getnames() == ["usr", "usr/bin", "usr/bin/server"]
        assert opened.getmember("usr/bin/server").mode == 0o755
        content = opened.extractfile("usr/bin/server")
        assert content is not None
        assert content.read() == Path(binaries["server"]).read_bytes()
    assert image(blobs(target), PAUSE.name)[0]["config"]["User"] == "65535:65535"


def test_every_blob_is_what_its_name_says(tmp_path: Path, binaries: dict[str, str]) -> None:
    target = tmp_path / "images.tar"
    write_archive(target, [PAUSE, SERVER], binaries)
    for name, content in blobs(target).items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(content).hexdigest() == Path(name).name


def test_the_same_binaries_give_the_same_archive_and_are_not_read_again(
    tmp_path: Path, binaries: dict[str, str]
) -> None:
    target = tmp_path / "images.tar"
    write_archive(target, [PAUSE], binaries)
    before = target.read_bytes()
    assert not write_archive(target, [PAUSE], binaries)
    target.with_name("images.tar.made-of").unlink()
    assert write_archive(target, [PAUSE], binaries)
    assert target.read_bytes() == before


def test_clusters_share_an_archive_and_one_that_is_removed_takes_nothing_from_the_other(
    tmp_path: Path, binaries: dict[str, str]
) -> None:
    first, second = tmp_path / "one" / "images.tar", tmp_path / "two" / "images.tar"
    for target in (first, second):
        assert write_archive(target, [PAUSE], binaries, kept=tmp_path / "kept")
    assert first.stat().st_ino == second.stat().st_ino
    assert not write_archive(second, [PAUSE], binaries, kept=tmp_path / "kept")
    shutil.rmtree(tmp_path / "kept")
    shutil.rmtree(first.parent)
    assert image(blobs(second), PAUSE.name)[1]


@pytest.mark.parametrize("problem", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_files_cannot_be_shared_the_archive_is_copied(
    tmp_path: Path, binaries: dict[str, str], monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(problem, "refused")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "one" / "images.tar"
    assert write_archive(target, [PAUSE], binaries, kept=tmp_path / "kept")
    assert image(blobs(target), PAUSE.name)[1]
    assert sorted(path.name for path in target.parent.iterdir()) == ["images.tar", "images.tar.made-of"]


def test_another_binary_makes_another_archive(tmp_path: Path, binaries: dict[str, str]) -> None:
    target = tmp_path / "images.tar"
    write_archive(target, [PAUSE], binaries)
    Path(binaries["pause"]).write_bytes(b"\x7fELF another")
    assert write_archive(target, [PAUSE], binaries)
    assert b"another" in image(blobs(target), PAUSE.name)[1]


def test_a_binary_that_is_gone_leaves_the_old_archive_and_nothing_else(
    tmp_path: Path, binaries: dict[str, str]
) -> None:
    target = tmp_path / "out" / "images.tar"
    write_archive(target, [PAUSE], binaries)
    before = sorted(target.parent.iterdir())
    with pytest.raises(FileNotFoundError):
        write_archive(target, [PAUSE, SERVER], {**binaries, "server": str(tmp_path / "none")})
    assert sorted(target.parent.iterdir()) == before
