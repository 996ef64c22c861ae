"""A registry on the loopback that serves the images of an archive, for tests whose pods pull always."""

from __future__ import annotations

import contextlib
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Served:
    """What an archive (an OCI layout in a tar) holds: where its blobs lie, and manifests by the names of images."""

    archive: Path
    blobs: dict[str, tuple[int, int]]
    manifests: dict[str, str]
    media: dict[str, str]

    def digest(self, path: str, query: str) -> str:
        """Return the digest of what a request names, "" for what is not here.

        containerd tells a mirror in the parameter `ns` which registry it asks for.
        """
        match path.removeprefix("/v2/").rsplit("/", 2):
            case [image, "manifests", reference] if not reference.startswith("sha256:"):
                name = f"{parse_qs(query).get('ns', [''])[0]}/{image}:{reference}"
                return self.manifests.get(name, "")
            case [_, "manifests" | "blobs", digest] if digest in self.blobs:
                return digest
        return ""


def read(archive: Path) -> Served:
    """Return what is in *archive*."""
    with tarfile.open(archive) as tar:
        blobs = {f"sha256:{Path(entry.name).name}": (entry.offset_data, entry.size) for entry in tar if entry.isfile()}
        content = tar.extractfile("index.json")
        entries = json.load(content)["manifests"] if content else []
    named = {str(entry["annotations"]["io.containerd.image.name"]): str(entry["digest"]) for entry in entries}
    return Served(archive, blobs, named, {str(entry["digest"]): str(entry["mediaType"]) for entry in entries})


@contextlib.contextmanager
def registry(archive: Path) -> Iterator[str]:
    """Give the URL of a registry with the images of *archive*."""
    served = read(archive)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(served, self)

        do_HEAD = do_GET  # noqa: N815 - the standard library's word

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(served: Served, request: BaseHTTPRequestHandler) -> None:
    asked = urlsplit(request.path)
    digest = served.digest(asked.path, asked.query)
    offset, size = served.blobs.get(digest, (0, 0))
    request.send_response(200 if digest or asked.path == "/v2/" else 404)
    request.send_header("Content-Type", served.media.get(digest, "application/octet-stream"))
    request.send_header("Content-Length", str(size))
    if digest:
        request.send_header("Docker-Content-Digest", digest)
    request.end_headers()
    if request.command == "HEAD" or not digest:
        return
    with served.archive.open("rb") as file, contextlib.suppress(ConnectionError):
        file.seek(offset)
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            request.wfile.write(piece)
            size -= len(piece)
