"""Archives of images as people have them, and files that only look like it."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.archives import ArchivedImage, archives_of, full_name, inspect, opened
from kubedoctor.cluster.images import write_archive
from kubedoctor.components import Image
from kubedoctor.errors import UsageError

DIGEST = "sha256:" + "a" * 64


def tar(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def oci(*manifests: object) -> bytes:
    index = {"schemaVersion": 2, "manifests": list(manifests)}
    return tar({"oci-layout": "{}", "index.json": json.dumps(index), f"blobs/{DIGEST.replace(':', '/')}": b"x" * 5000})


def docker(*entries: object) -> bytes:
    return tar({"layer.tar": b"y" * 5000, "manifest.json": json.dumps(list(entries))})


def looked_at(content: bytes, *, quick: bool = False) -> tuple[ArchivedImage, ...] | None:
    return inspect(io.BytesIO(content), "it", quick=quick).images


def refused(content: bytes, *, quick: bool = False) -> str:
    with pytest.raises(UsageError) as raised:
        looked_at(content, quick=quick)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_an_archive_of_our_own_tells_its_image(tmp_path: Path) -> None:
    binary = tmp_path / "pause"
    binary.write_bytes(b"a program")
    archive = tmp_path / "images.tar"
    write_archive(
        archive, [Image(name="registry.k8s.io/pause:3", binary="pause", path="/pause")], {"pause": str(binary)}
    )
    with opened(str(archive)) as file:
        (image,) = inspect(file, "it").images or ()
        assert file.tell() == 0
    assert image.name == "registry.k8s.io/pause:3"
    assert image.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("annotations", "name"),
    [
        ({"io.containerd.image.name": "a.b/c:1", "org.opencontainers.image.ref.name": "1"}, "a.b/c:1"),
        ({"org.opencontainers.image.ref.name": "busybox:latest"}, "busybox:latest"),
        ({}, ""),
        (None, ""),
        ("nonsense", ""),
    ],
)
def test_an_oci_image_has_the_name_containerd_would_give_it(annotations: object, name: str) -> None:
    assert looked_at(oci({"digest": DIGEST, "annotations": annotations})) == (ArchivedImage(name, DIGEST),)


def test_a_docker_archive_has_a_name_for_each_tag_in_full() -> None:
    content = docker({"RepoTags": ["web:2", "registry.test/web:2"]}, {"RepoTags": None}, {"RepoTags": []})
    assert [image.name for image in looked_at(content) or ()] == [
        "docker.io/library/web:2",
        "registry.test/web:2",
        "",
        "",
    ]


def test_what_is_both_is_read_as_oci_as_containerd_does() -> None:
    files = {"oci-layout": "{}", "index.json": '{"manifests": []}', "manifest.json": '[{"RepoTags": ["web:2"]}]'}
    assert looked_at(tar(files)) == ()


def test_a_compressed_archive_is_read_too() -> None:
    content = gzip.compress(docker({"RepoTags": ["web:2"]}))
    assert looked_at(content) == (ArchivedImage("docker.io/library/web:2"),)
    assert looked_at(content, quick=True) is None
    assert looked_at(b"\x28\xb5\x2f\xfd and zstd, which only containerd reads") is None


@pytest.mark.parametrize(
    "content", [b"", b"root:x:0:0:", b"\0" * 4096, gzip.compress(b"a note", mtime=0), b"\x7fELF" * 999]
)
@pytest.mark.parametrize("quick", [False, True])
def test_what_is_no_archive_is_said_to_be_none(content: bytes, quick: bool) -> None:
    said = refused(content, quick=quick and content.startswith(b"\x1f"))
    assert said.startswith(("it is not an archive of images", "it holds no images"))


def test_other_compressions_are_named() -> None:
    assert refused(bz2.compress(docker())) == "it is compressed with bzip2, which containerd does not read"


def test_an_archive_of_other_files_holds_no_images() -> None:
    assert refused(tar({"etc/passwd": "root"})).startswith("it holds no images")
    assert refused(tar({"oci-layout": "{}", "index.json": "[]"})).startswith("it holds no images")
    assert refused(tar({"manifest.json": "{}"})).startswith("it holds no images")


def test_damage_is_told() -> None:
    whole = docker({"RepoTags": ["web:2"]})
    assert refused(whole[:3000]).startswith("it is damaged: unexpected end")
    packed = gzip.compress(whole)
    assert refused(packed[: len(packed) // 2]).startswith("it is damaged:")
    assert refused(tar({"manifest.json": "[{"})) == "it is damaged: its index cannot be read"
    assert refused(tar({"manifest.json": "[" * 100_000})) == "it is damaged: its index cannot be read"
    lacking = "sha256:" + "b" * 64
    assert refused(oci({"digest": lacking})) == f"it is damaged: it lacks {lacking}, which its index names"


def test_a_header_that_tells_of_a_huge_one_is_not_read() -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 6 << 30
    assert "too long" in refused(tar({"a": "b"})[:1024] + entry.tobuf() + b"\0" * 4096)


INDEXES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["manifests", "digest", "annotations", "RepoTags", "mediaType"]), inner)
    ),
)


@given(st.binary(max_size=4096))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    for quick in (False, True):
        with contextlib.suppress(UsageError):
            looked_at(content, quick=quick)


@given(INDEXES)
def test_any_index_is_refused_or_read(index: object) -> None:
    for files in ({"oci-layout": "{}", "index.json": json.dumps(index)}, {"manifest.json": json.dumps(index)}):
        with contextlib.suppress(UsageError):
            looked_at(tar(files))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("team/app", "docker.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        (f"quay.io/app@{DIGEST}", f"quay.io/app@{DIGEST}"),
        ("", ""),
    ],
)
def test_names_are_completed_as_the_kubelet_completes_them(name: str, full: str) -> None:
    assert full_name(name) == full
    assert full_name(full) == full


# --- directories ------------------------------------------------------------------------------------------------------


def test_a_directory_stands_for_the_archives_in_it(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar.gz", "README", "c.tgz"):
        (tmp_path / name).touch()
    (tmp_path / "d.tar").mkdir()
    found = archives_of(["x.tar", str(tmp_path), str(tmp_path / "b.tar")])
    assert found == ("x.tar", *(str(tmp_path / name) for name in ("a.tar.gz", "b.tar", "c.tgz")))


def test_a_directory_without_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no archives in"):
        archives_of([str(tmp_path)])
    (tmp_path / "oci-layout").touch()
    with pytest.raises(UsageError, match="is an unpacked image") as raised:
        archives_of([str(tmp_path)])
    assert raised.value.hint == f"pack it: tar -C {tmp_path} -cf image.tar ."


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none", "there is no such file"), (tmp_path, "is not a file")):
        with pytest.raises(UsageError, match=said), opened(str(path)):
            pass
