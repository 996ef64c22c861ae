"""Reading what an HTTP/1.1 server answers. Standard library only: the probes of the supervisor read with it too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field

from kubedoctor.records import dataclass

HEADERS = 64 << 10
"""Bytes a head may have: what Go's servers and clients allow is 1 MiB, what Kubernetes sends is below 2 KiB."""

_STATUS = re.compile(r"HTTP/1\.[01] ([1-5]\d\d)(?: |$)")
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}")
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. Names of headers are in lower case; of several with one name, all, joined by `, `."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


def read_answer(receive: Callable[[], bytes], *, limit: int, head: bool = False) -> tuple[Answer, bool]:
    """Return the answer, and whether the connection can serve another request; *head*: the request's method was HEAD.

    *receive* returns the next bytes, none at the end. Raise ConnectionResetError when they end too early, ValueError
    for what is not HTTP and for a body of more than *limit* bytes; what *receive* raises goes up.
    """
    reader = _Reader(receive)
    while True:
        first, fields = reader.head()
        status = int(first)
        if status >= 200:  # 1xx only announces the answer
            break
    if head or status in _BODILESS:
        return Answer(status, b"", fields), True
    body, whole = reader.body(fields, limit)
    return Answer(status, body, fields), whole and fields.get("connection", "").lower() != "close"


class _Reader:
    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = b""

    def _more(self, problem: str) -> None:
        piece = self._receive()
        if not piece:
            raise ConnectionResetError(problem)
        self._buffer += piece

    def head(self) -> tuple[str, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            if self._buffer and not b"HTTP/1.".startswith(self._buffer[:7]):
                raise ValueError(f"not HTTP: {self._buffer[:60]!r}")
            self._more("the server closed the connection without an answer")
            if len(self._buffer) > HEADERS:
                raise ValueError("the answer's headers are too long")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = _STATUS.match(first)
        if not status:
            raise ValueError(f"not HTTP: {first[:60]!r}")
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return status[1], fields

    def body(self, fields: Mapping[str, str], limit: int) -> tuple[bytes, bool]:
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks(limit), True
        text = fields.get("content-length")
        if text is None:
            return self._rest(limit), False
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise ValueError(f"bad Content-Length {text[:20]!r}")
        return self._exactly(int(text), limit), not self._buffer

    def _rest(self, limit: int) -> bytes:
        pieces, length = [self._buffer], len(self._buffer)
        self._buffer = b""
        _within(length, limit)
        while piece := self._receive():
            pieces.append(piece)
            length += len(piece)
            _within(length, limit)
        return b"".join(pieces)

    def _exactly(self, count: int, limit: int) -> bytes:
        _within(count, limit)
        pieces, missing = [self._buffer[:count]], count - len(self._buffer)
        self._buffer = self._buffer[count:]
        while missing > 0:
            piece = self._receive()
            if not piece:
                raise ConnectionResetError("the server closed the connection in the middle of an answer")
            pieces.append(piece[:missing])
            self._buffer, missing = piece[missing:], missing - len(piece)
        return b"".join(pieces)

    def _chunks(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        length = 0
        while True:
            size = _CHUNK.fullmatch(self._line().split(b";")[0].strip())
            if size is None:
                raise ValueError("a chunk has no size")
            count = int(size[0], 16)
            if count == 0:
                break
            length += count
            _within(length, limit)
            pieces.append(self._exactly(count + 2, count + 2)[:-2])
        while self._line():  # trailers
            pass
        return b"".join(pieces)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > HEADERS:
                raise ValueError("a line of the answer is too long")
            self._more("the server closed the connection in the middle of an answer")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line


def _within(length: int, limit: int) -> None:
    if length > limit:
        raise ValueError(f"the answer is too long: more than {limit >> 10} KiB")
