from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import Absent, Malformed
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host import runc
from kubedoctor.host.runc import Program, RuncBuild, judge, program, runc_build, search_path

GO = b"\x7fELF....\xff Go buildinf:..."


def elf(machine: int, order: int = 1) -> bytes:
    head = bytearray(b"\x7fELF" + bytes([2, order, 1]) + bytes(57))
    struct.pack_into("<H" if order == 1 else ">H", head, 18, machine)
    return bytes(head)


def put(path: Path, content: bytes, mode: int = 0o755) -> Program:
    path.write_bytes(content)
    path.chmod(mode)
    return SharedLook().get(program, str(path), 0)


@pytest.mark.parametrize(
    ("content", "seccomp", "name"),
    [
        (GO + b"github.com/seccomp/libseccomp-golang.Init", True, "runc"),
        (GO + b"seccomp: config provided but seccomp not supported", False, "runc"),
        (GO + b"some other program", None, ""),
        (b"\x7fELF libcrun +SYSTEMD +SECCOMP +EBPF", True, "crun"),
        (b"\x7fELF libcrun +SYSTEMD", None, "crun"),
        (b"\x7fELF a C program", None, ""),
        (b"#!/bin/sh\nexec runc", None, ""),
        (b"", None, ""),
    ],
)
def test_what_stands_in_a_program_tells(content: bytes, seccomp: bool | None, name: str) -> None:
    found = judge(content)
    assert (found.seccomp, found.name) == (seccomp, name)
    assert found.evidence


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(content: bytes) -> None:
    assert isinstance(judge(content), RuncBuild)


def test_a_program_is_searched_without_being_run(tmp_path: Path) -> None:
    path = tmp_path / "runc"
    path.write_bytes(GO + bytes(100_000) + b"config provided but seccomp not supported")
    assert SharedLook().get(runc_build, str(path), 0).seccomp is False


def test_what_is_no_program_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "huge").write_bytes(bytes(5000))
    monkeypatch.setattr(runc, "LARGEST", 4096)
    for name in ("fifo", "empty", "huge"):
        with pytest.raises(Malformed):
            SharedLook().get(runc_build, str(tmp_path / name), 0)
    with pytest.raises(Absent):
        SharedLook().get(runc_build, str(tmp_path / "none"), 0)
    with pytest.raises(Absent):
        SharedLook().get(program, str(tmp_path / "none"), 0)


def test_our_own_interpreter_can_be_run() -> None:
    found = SharedLook().get(program, str(Path(sys.executable).resolve()), 0)
    assert (found.format, found.problem) == ("elf", "")


def test_why_a_file_cannot_be_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert put(tmp_path / "script", b"#!/bin/sh\n").format == "script"
    assert put(tmp_path / "script", b"#!/bin/sh\n").problem == ""
    assert put(tmp_path / "empty", b"").problem == "is empty"
    assert put(tmp_path / "plain", b"x", mode=0o644).problem == "is not executable: no `x` in its mode"
    (tmp_path / "directory").mkdir()
    assert SharedLook().get(program, str(tmp_path / "directory"), 0).problem == "is no file"
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "n", "6", "v", "x86_64")))
    assert put(tmp_path / "arm", elf(183)).problem == "is built for aarch64, and this machine is x86_64"
    assert put(tmp_path / "i386", elf(3)).problem == ""
    assert put(tmp_path / "s390x", elf(22, order=2)).machine == "s390x"
    assert put(tmp_path / "strange", elf(999)).problem == ""


def test_a_symlink_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "real", elf(62))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert SharedLook().get(program, str(tmp_path / "link"), 0).machine == "x86_64"


def test_the_path_of_a_process_is_read() -> None:
    wanted = tuple(word for word in os.environ["PATH"].split(":") if word.startswith("/"))
    assert SharedLook().get(search_path, os.getpid()) == wanted


def test_a_process_that_is_gone_is_absent() -> None:
    with pytest.raises(Absent):
        SharedLook().get(search_path, 2**22 + 1)
