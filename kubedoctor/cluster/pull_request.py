"""What a client asks of the proxy for image pulls: the head of an HTTP request. Standard library only."""

from __future__ import annotations

import base64
import binascii
import re

from kubedoctor.records import dataclass

LONGEST_HEAD = 64 << 10
"""Bytes of a request's head: tokens of cloud registries come to some kilobytes."""

_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([-A-Za-z0-9_.]{0,252}[A-Za-z0-9_.])?")
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "content-length", "host"}
)


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """The answer to a request that cannot be served: status and one line that tells why.

    The line stands in the status line too: it is what containerd tells of a tunnel that it did not get.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = "".join(one if one.isascii() and one.isprintable() else "?" for one in why)

    def answer(self) -> bytes:
        """Return the whole response."""
        body = f"{self.why}\n"
        more = 'Proxy-Authenticate: Basic realm="kubedoctor"\r\n' if self.status == 407 else ""
        return (
            f"HTTP/1.1 {self.status} {self.why}\r\n{more}Content-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """CONNECT to host and port, or GET and HEAD of `path` there; `headers` are those to be passed on."""

    method: str
    host: str  # without brackets
    port: int
    path: str = ""
    headers: tuple[str, ...] = ()
    credentials: bytes = b""

    @property
    def is_tunnel(self) -> bool:
        """Whether bytes are to be carried as they are."""
        return self.method == "CONNECT"

    @property
    def where(self) -> str:
        """Host and port as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def head(self, target: str, *more: str) -> bytes:
        """Return the head that asks a server for *target*; the connection is for this one request."""
        host = f"Host: {self.where.replace('.:', ':')}"
        lines = [f"{self.method} {target} HTTP/1.1", host, *self.headers, *more, "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")


def parse_request(head: bytes) -> Request:
    """Return what *head*, with its empty line, asks for; raise Refused when it is nothing the proxy does."""
    lines = head.decode("latin-1").split("\r\n")
    match lines[0].split(" "):
        case [method, target, version] if version in ("HTTP/1.0", "HTTP/1.1"):
            pass
        case _:
            raise Refused(400, "kubedoctor: this is no request for an HTTP proxy")
    headers, credentials = [], b""
    for line in filter(None, lines[1:]):
        name, colon, value = line.partition(":")
        if not colon or not name or not name.isascii() or not name.isprintable() or " " in name or not _plain(value):
            raise Refused(400, "kubedoctor: a header of the request cannot be read")
        if name.lower() == "proxy-authorization":
            credentials = _credentials(value.strip())
        elif name.lower() not in _HOP_BY_HOP:
            headers.append(line)
    if method == "CONNECT":
        host, port = _authority(target, 0)
        return Request(method=method, host=host, port=port, credentials=credentials)
    if method not in ("GET", "HEAD"):
        raise Refused(405, "kubedoctor: the proxy is for image pulls: CONNECT, GET and HEAD")
    scheme, separator, rest = target.partition("://")
    if scheme.lower() != "http" or not separator or not _plain(target):
        raise Refused(400, "kubedoctor: the proxy takes whole URLs of plain HTTP, and tunnels for HTTPS")
    authority, slash, path = rest.partition("/")
    host, port = _authority(authority, 80)
    return Request(
        method=method,
        host=host,
        port=port,
        path=f"{slash}{path}" or "/",
        headers=tuple(headers),
        credentials=credentials,
    )


def _plain(text: str) -> bool:
    return not any(ord(one) < 32 and one != "\t" for one in text)


def _credentials(value: str) -> bytes:
    scheme, _, encoded = value.partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _authority(text: str, standard: int) -> tuple[str, int]:
    host, number = text, standard
    if not text.endswith("]") and ":" in text:
        host, _, digits = text.rpartition(":")
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else 0
    if not _HOST.fullmatch(host) or not 0 < number < 1 << 16:
        raise Refused(400, "kubedoctor: the request names no host and port")
    return host.strip("[]"), number
