"""A registry of images as tests have it: what the distribution API needs for a pull, over plain HTTP or TLS."""

from __future__ import annotations

import contextlib
import json
import secrets
import ssl
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Registry:
    """Serves the one image of an archive under every name, with every tag.

    `fault`: "" none, "hang" no answer at all, "cut" layers end in their middle. `asked` are method and path of each
    request, `hosts` the names it was asked by.
    """

    blobs: dict[str, bytes]
    manifest: str  # digest
    fault: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def found(self, path: str) -> tuple[str, bytes] | None:
        """Return media type and content of what a path of the API names."""
        match path.removeprefix("/v2/").split("/")[-2:]:
            case ["manifests", reference]:
                digest = reference if reference.startswith("sha256:") else self.manifest
                content = self.blobs.get(digest)
                return None if content is None else (str(json.loads(content).get("mediaType", MANIFEST)), content)
            case ["blobs", digest] if digest in self.blobs:
                return "application/octet-stream", self.blobs[digest]
        return None


@contextlib.contextmanager
def registry(archive: Path, *, tls: ssl.SSLContext | None = None, fault: str = "") -> Iterator[Registry]:
    """Yield a registry on the loopback that serves the image of *archive*, an OCI layout in a tar."""
    with tarfile.open(archive) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    layout = {f"sha256:{Path(name).name}": data for name, data in content.items() if name.startswith("blobs/sha256/")}
    this = Registry(*_one_of_its_own(layout, json.loads(content["index.json"])["manifests"][0]["digest"]), fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(this, self)

        do_HEAD = do_GET  # noqa: N815 - the standard library's word

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    this.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield this
    finally:
        this.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def _one_of_its_own(blobs: dict[str, bytes], digest: str) -> tuple[dict[str, bytes], str]:
    """Return the blobs with a manifest of another digest, all of whose content is no other registry's either."""
    manifest = json.loads(blobs[digest])
    made = {}

    def add(content: bytes) -> dict[str, Any]:
        name = f"sha256:{sha256(content).hexdigest()}"
        made[name] = content
        return {"digest": name, "size": len(content)}

    config = json.loads(blobs[manifest["config"]["digest"]])
    padding = b"\0" * 512 * (1 + secrets.randbelow(1000))  # after the end of a tar, it means nothing
    layers = [{**layer, **add(blobs[layer["digest"]] + padding)} for layer in manifest["layers"]]
    config["rootfs"]["diff_ids"] = [layer["digest"] for layer in layers]
    manifest = {**manifest, "layers": layers, "config": {**manifest["config"], **add(json.dumps(config).encode())}}
    return made, str(add(json.dumps(manifest).encode())["digest"])


def _answer(this: Registry, request: BaseHTTPRequestHandler) -> None:
    this.asked.append(f"{request.command} {request.path}")
    this.hosts.add(request.headers.get("Host", ""))
    this.headers.append(dict(request.headers.items()))
    if this.fault == "hang":
        this.over.wait()
        request.close_connection = True
        return
    path = request.path.partition("?")[0]
    found = ("application/json", b"{}") if path == "/v2/" else this.found(path)
    media, content = found or ("application/json", b'{"errors":[{"code":"NOT_FOUND"}]}')
    request.send_response(200 if found else 404)
    request.send_header("Content-Type", media)
    request.send_header("Content-Length", str(len(content)))
    if path.rpartition("/")[0].endswith("/manifests") and found:
        request.send_header("Docker-Content-Digest", this.manifest)
    request.end_headers()
    if request.command == "HEAD":
        return
    if this.fault == "cut" and "/blobs/" in path:
        content = content[: len(content) // 2]
        request.close_connection = True
    with contextlib.suppress(OSError):
        request.wfile.write(content)
