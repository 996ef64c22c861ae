"""The blocks of a PEM file, found in one pass, as Go's encoding/pem finds them. Standard library only."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from kubedoctor.records import dataclass

# Go wants both lines to start a line and lets blanks stand behind them. Lengths are bounded, so that the search stays
# linear in hostile files.
_LINE = re.compile(rb"^-----(BEGIN|END) ([A-Za-z0-9 ]{0,60})-----[ \t]{0,40}\r?$", re.MULTILINE)
_HEADER = re.compile(rb"\A(?:[^\n:]{1,80}:[^\n]*\n)+")  # `Proc-Type: 4,ENCRYPTED`, of keys


@dataclass(frozen=True, slots=True)
class Block:
    """One block: `data` is what its base64 says, None when it is damaged; `raw` is the block as it stands there."""

    label: str
    data: bytes | None
    raw: bytes
    line: int


def blocks(content: bytes) -> Iterator[Block]:
    """Yield the blocks in their order; a beginning without its end is no block."""
    begin: re.Match[bytes] | None = None
    line = counted = 0
    for found in _LINE.finditer(content):
        if found[1] == b"BEGIN":
            begin = found
        elif begin is not None and begin[2] == found[2]:
            body = _HEADER.sub(b"", content[begin.end() : found.start()].lstrip(b"\r\n"))
            line += content.count(b"\n", counted, begin.start())
            counted = begin.start()
            yield Block(found[2].decode(), _decoded(body), content[begin.start() : found.end()] + b"\n", line + 1)
            begin = None


def _decoded(body: bytes) -> bytes | None:
    """Return what the base64 says; None for anything else in it, as Go sees it."""
    compact = body.replace(b"\n", b"").replace(b"\r", b"").replace(b" ", b"").replace(b"\t", b"")
    try:
        return binascii.a2b_base64(compact, strict_mode=True) if compact else None
    except binascii.Error:
        return None


def is_der(content: bytes) -> bool:
    """Return whether *content* looks like DER, which no component of Kubernetes reads: it wants PEM."""
    return content[:2] in (b"\x30\x81", b"\x30\x82", b"\x30\x83")
