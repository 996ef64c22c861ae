"""What the Go toolchain has written into a program: its main module and version, read without running it.

The layout is that of debug/buildinfo since Go 1.18: a section `.go.buildinfo` with a header of 32 bytes, then two
strings, each behind its length as a varint; 16 bytes of marks stand around the second.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from kubedoctor.facts import Absent, Look, Malformed, fact
from kubedoctor.host.errors import as_fact_errors, printable
from kubedoctor.host.files import open_path
from kubedoctor.records import dataclass

_MAGIC = b"\xff Go buildinf:"
_INLINE = 2  # the flag of Go 1.18 and later: the strings stand here, not elsewhere in memory
_HEADER = 32
_LONGEST = 1 << 20
_SECTIONS = 4096
_NAMES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """The main module of a program; `version` is empty for one that was built outside of a release: `(devel)`."""

    path: str  # of the main package
    module: str = ""
    version: str = ""
    go: str = ""


@fact("host.build-info")
def build_info(look: Look, path: str, root: int) -> BuildInfo:
    """What a Go program says of itself; *path* as seen from the root of *root*, or `/proc/PID/exe` from ours.

    Raise Absent for a program of another language or an older Go, Malformed for no program at all.
    """
    del look
    what = printable(path)
    with as_fact_errors(path), _opened(path, root) as descriptor:
        offset, size = _section(descriptor, what)
        data = os.pread(descriptor, min(size, _LONGEST), offset)
    return parse_build_info(data, what)


@contextmanager
def _opened(path: str, root: int) -> Iterator[int]:
    handle = open_path(path, root=root)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Malformed(f"{printable(path)} is no file")
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(handle)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _section(descriptor: int, what: str) -> tuple[int, int]:
    """Return where `.go.buildinfo` stands in an ELF file, and its length."""
    head = os.pread(descriptor, 64, 0)
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise Malformed(f"{what} is no program")
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 40 if wide else 32)
    entry, count, names = struct.unpack_from(f"{order}HHH", head, 58 if wide else 46)
    shape = struct.Struct(f"{order}IIQQQQ" if wide else f"{order}IIIIII")  # name, type, flags, address, offset, size
    if entry < shape.size or not 0 < count <= _SECTIONS or names >= count or table >= 1 << 62:
        raise Malformed(f"{what} has no sections")
    data = os.pread(descriptor, entry * count, table)
    if len(data) < entry * count:
        raise Malformed(f"{what} ends before its sections")
    sections = [shape.unpack_from(data, entry * number) for number in range(count)]
    texts = _read_at(descriptor, sections[names][4], min(sections[names][5], _NAMES), what)
    for name, _, _, _, offset, size in sections:
        if texts.startswith(b".go.buildinfo\0", name):
            return offset, size
    raise Absent(f"{what} is no Go program, or does not say what it is")


def _read_at(descriptor: int, offset: int, size: int, what: str) -> bytes:
    if offset >= 1 << 62:
        raise Malformed(f"{what} ends before its sections")
    return os.pread(descriptor, size, offset)


def parse_build_info(data: bytes, what: str) -> BuildInfo:
    """Return what the section says; raise Absent for the form of an older Go, Malformed for none."""
    if not data.startswith(_MAGIC) or len(data) < _HEADER:
        raise Malformed(f"{what} has build information that is none")
    if not data[15] & _INLINE:
        raise Absent(f"{what} was built by a Go older than 1.18, which says less of it")
    go, position = _string(data, _HEADER, what)
    text, _ = _string(data, position, what)
    if len(text) >= 33 and text[-17:-16] == b"\n":
        text = text[16:-16]
    found = {"path": "", "mod": ""}
    for line in text.decode(errors="replace").split("\n"):
        word, _, rest = line.partition("\t")
        if word in found and not found[word]:
            found[word] = rest
    module, _, rest = found["mod"].partition("\t")
    version = rest.partition("\t")[0]
    return BuildInfo(
        path=printable(found["path"]),
        module=printable(module),
        version="" if version == "(devel)" else printable(version),
        go=printable(go.decode(errors="replace")),
    )


def _string(data: bytes, position: int, what: str) -> tuple[bytes, int]:
    length = shift = 0
    while True:
        if position >= len(data) or shift > 28:
            raise Malformed(f"{what} has build information that ends early")
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if length > len(data) - position:
        raise Malformed(f"{what} has build information that ends early")
    return data[position : position + length], position + length
