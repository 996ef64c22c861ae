"""A mirror of releases on loopback that can misbehave, and programs that count how often they are asked."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Program = Callable[..., Path]


def asked(path: Path) -> int:
    """Return how often a program made by `program` was run."""
    log = Path(f"{path}.asked")
    return len(log.read_text().splitlines()) if log.exists() else 0


@dataclass
class Mirror:
    """What a server of releases serves, and how it goes wrong."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)  # bytes after which the connection breaks, once
    no_ranges: bool = False
    redirects: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)  # path and Range header
    gate: threading.Event | None = None  # bodies wait for it

    def add(self, path: str, content: bytes, *, checksum: str | None = None) -> str:
        """Serve *content* with a `.sha256` beside it; return its URL."""
        self.files[path] = content
        self.files[f"{path}.sha256"] = (checksum or hashlib.sha256(content).hexdigest()).encode()
        return self.url + path

    def asked_for(self, path: str) -> list[str]:
        """Return the Range headers of all requests for *path*."""
        return [ranges for asked_path, ranges in self.requests if asked_path == path]


@contextlib.contextmanager
def serving() -> Iterator[Mirror]:
    """Serve on a free port of loopback."""
    served = Mirror()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = re.sub(r"^https?://[^/]+", "", self.path)  # a proxy is asked with the whole URL
            ranges = self.headers.get("Range", "")
            served.requests.append((path, ranges))
            if path in served.redirects:
                self.send_response(302)
                self.send_header("Location", served.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = served.files.get(path)
            if content is None:
                self.send_error(404)
                return
            start = int(ranges.removeprefix("bytes=").rstrip("-")) if ranges and not served.no_ranges else 0
            if start >= len(content) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if served.gate and not path.endswith(".sha256"):
                served.gate.wait(30)
            if path in served.cut:
                self.wfile.write(body[: served.cut.pop(path)])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def tar_gz(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """Return an archive of *members*; a TarInfo stands for a link or a device."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o4777
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
