from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, FactError, Malformed
from kubedoctor.host.buildinfo import BuildInfo, build_info, parse_build_info

TEXT = b"path\tk8s.io/kubernetes/cmd/kubelet\nmod\tk8s.io/kubernetes\tv1.37.2\th1:abc=\nbuild\t-trimpath=true\n"


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def section(text: bytes = TEXT, go: bytes = b"go1.26.8", flags: int = 2) -> bytes:
    marked = b"m" * 16 + text + b"M" * 16
    header = b"\xff Go buildinf:" + bytes([8, flags]) + bytes(16)
    return header + varint(len(go)) + go + varint(len(marked)) + marked


def elf(data: bytes, *, wide: bool = True, order: str = "<") -> bytes:
    """Return an ELF file with the section, and one with the names."""
    names = b"\0.go.buildinfo\0.shstrtab\0"
    head = 64 if wide else 52
    shape = struct.Struct(f"{order}IIQQQQIIQQ" if wide else f"{order}IIIIIIIIII")
    start = head + len(data) + len(names)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = struct.pack(
        f"{order}HHIQQQIHHHHHH" if wide else f"{order}HHIIIIIHHHHHH",
        2, 62, 1, 0, 0, start, 0, head, 0, 0, shape.size, 3, 2,
    )  # fmt: skip
    table = shape.pack(*[0] * 10)
    table += shape.pack(1, 1, 0, 0, head, len(data), 0, 0, 0, 0)
    table += shape.pack(15, 3, 0, 0, head + len(data), len(names), 0, 0, 0, 0)
    return ident + rest + data + names + table


def info(tmp_path: Path, content: bytes) -> BuildInfo:
    path = tmp_path / "program"
    path.write_bytes(content)
    return SharedLook().get(build_info, str(path), 0)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_go_program_says_what_it_is(tmp_path: Path, wide: bool, order: str) -> None:
    assert info(tmp_path, elf(section(), wide=wide, order=order)) == BuildInfo(
        path="k8s.io/kubernetes/cmd/kubelet", module="k8s.io/kubernetes", version="v1.37.2", go="go1.26.8"
    )


def test_a_program_that_was_built_outside_of_a_release_has_no_version(tmp_path: Path) -> None:
    devel = section(TEXT.replace(b"v1.37.2", b"(devel)"))
    assert info(tmp_path, elf(devel)).version == ""
    assert parse_build_info(section(b""), "x") == BuildInfo(path="", go="go1.26.8")


def test_other_programs_are_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no Go program"):
        SharedLook().get(build_info, os.path.realpath(sys.executable), 0)
    with pytest.raises(Absent, match=r"older than 1\.18"):
        info(tmp_path, elf(section(flags=0)))


def test_what_is_no_program_is_malformed(tmp_path: Path) -> None:
    whole = elf(section())
    for content in (b"", b"#!/bin/sh\n" + bytes(100), whole[:60], whole[:-10], elf(b"\xff Go"), elf(bytes(100))):
        with pytest.raises(Malformed):
            info(tmp_path, content)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Malformed):
        SharedLook().get(build_info, str(tmp_path / "fifo"), 0)
    with pytest.raises(Absent):
        SharedLook().get(build_info, str(tmp_path / "none"), 0)


def test_a_running_program_is_read_where_it_runs() -> None:
    with pytest.raises(Absent, match="no Go program"):
        SharedLook().get(build_info, f"/proc/{os.getpid()}/exe", 0)


@given(st.data())
def test_any_program_is_read_or_a_fact_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(elf(section()))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("p")
    with contextlib.suppress(FactError):
        assert isinstance(info(path, bytes(content)), BuildInfo)
