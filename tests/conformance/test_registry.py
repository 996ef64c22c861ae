"""The registry that tests whose pods pull always are given."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from conformance.registry import registry

MEDIA = "application/vnd.oci.image.manifest.v1+json"
MANIFEST, LAYER = b'{"schemaVersion": 2}', b"x" * 3_000_000


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    entry = {"mediaType": MEDIA, "digest": digest(MANIFEST)}
    entry |= {"annotations": {"io.containerd.image.name": "registry.example/some/image:v1"}}  # type: ignore[dict-item]
    blobs = {f"blobs/{digest(content).replace(':', '/')}": content for content in (MANIFEST, LAYER)}
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name, content in {**blobs, "index.json": json.dumps({"manifests": [entry]}).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with registry(tmp_path / "images.tar") as served:
        yield served


def test_image_is_found_by_registry_and_tag(url: str) -> None:
    with urllib.request.urlopen(f"{url}/v2/some/image/manifests/v1?ns=registry.example") as answer:
        assert answer.read() == MANIFEST
        assert answer.headers["Content-Type"] == MEDIA
        assert answer.headers["Docker-Content-Digest"] == digest(MANIFEST)


def test_blobs_come_whole(url: str) -> None:
    with urllib.request.urlopen(f"{url}/v2/some/image/blobs/{digest(LAYER)}") as answer:
        assert answer.read() == LAYER


def test_it_says_that_it_speaks_the_api(url: str) -> None:
    with urllib.request.urlopen(f"{url}/v2/") as answer:
        assert answer.read() == b""


@pytest.mark.parametrize(
    "path", ["some/image/manifests/v2?ns=registry.example", "some/image/manifests/v1?ns=other", "x/blobs/sha256:0", "x"]
)
def test_what_is_not_there_is_said_so(url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"{url}/v2/{path}")
    refused.value.close()
