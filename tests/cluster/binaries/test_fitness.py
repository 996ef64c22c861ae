from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mirror import Program, asked

from kubedoctor.cluster.binaries import fitness
from kubedoctor.cluster.binaries.fitness import unfit


def test_runc_without_seccomp_is_unfit(program: Program) -> None:
    bare = program("runc", body="echo runc version 1.5.2; echo spec: 1.3.0")
    assert unfit(str(bare), "runc") == "was built without seccomp, so no pod would start"
    good = program("runc", where="good", body="echo runc version 1.5.2; echo libseccomp: 2.5.4")
    assert unfit(str(good), "runc") == ""
    crun = program("crun", body="echo crun version 1.14.1; echo +SECCOMP")
    assert unfit(str(crun), "runc") == ""


def test_bridge_of_iproute2_is_no_plugin(program: Program) -> None:
    other = program("bridge", body="echo 'Usage: bridge [ OPTIONS ] OBJECT'; exit 255")
    assert unfit(str(other), "bridge") == "is not a CNI plugin"
    listed = program("bridge", where="json", body="echo '[]'")
    assert unfit(str(listed), "bridge") == "is not a CNI plugin"
    plugin = program(
        "bridge",
        where="cni",
        body='[ "$CNI_COMMAND" = VERSION ] && echo \'{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}\'',
    )
    assert unfit(str(plugin), "bridge") == ""


def test_what_serves_is_asked_once_and_what_does_not_each_time(program: Program) -> None:
    good = program("runc", body="echo runc version 1.5.2; echo libseccomp: 2.5.4")
    bad = program("runc", where="bad", body="echo runc version 1.5.2")
    for _ in range(3):
        unfit(str(good), "runc")
        unfit(str(bad), "runc")
    assert (asked(good), asked(bad)) == (1, 3)


def test_nothing_is_written_when_nothing_is_to_be_remembered(program: Program, cache: Path) -> None:
    unfit(str(program("runc", body="echo runc version 1.5.2; echo libseccomp: 2.5.4")), "runc", remember=False)
    assert not cache.exists()


def test_program_that_does_not_answer_is_unfit(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubedoctor.cluster.binaries.probe.TIMEOUT", 0.3)
    assert unfit(str(program("runc", body="sleep 60")), "runc") == "does not answer"


def test_others_are_asked_nothing(program: Program) -> None:
    path = program("kubelet")
    assert unfit(str(path), "kubelet") == ""
    assert asked(path) == 0


def elf(*kinds: int, wide: bool = True, order: str = "<") -> bytes:
    """Return the beginning of a program with program headers of these kinds."""
    size = 56 if wide else 32
    head = bytearray(64)
    head[:7] = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1])
    struct.pack_into(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28, 64)
    struct.pack_into(f"{order}HH", head, 54 if wide else 42, size, len(kinds))
    return bytes(head) + b"".join(struct.pack(f"{order}I", kind).ljust(size, b"\0") for kind in kinds)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_program_that_needs_a_loader_cannot_be_alone_in_an_image(tmp_path: Path, wide: bool, order: str) -> None:
    path = tmp_path / "coredns"
    path.write_bytes(elf(1, 3, 1, wide=wide, order=order))
    assert unfit(str(path), "coredns") == "is linked dynamically, so it cannot run in an image of its own"
    path.write_bytes(elf(1, 4, 1, wide=wide, order=order))
    assert unfit(str(path), "coredns") == ""


def test_script_cannot_be_alone_in_an_image(program: Program) -> None:
    for name in ("coredns", "pause"):
        assert unfit(str(program(name)), name) == "is not a program that runs in an image of its own"


def test_another_program_called_pause_is_not_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pause"
    path.write_bytes(elf(1))
    path.chmod(0o755)
    assert unfit(str(path), "pause").startswith("cannot be run: ")  # it has no code


@given(st.binary(max_size=300), st.booleans())
def test_any_file_is_static_or_not(tmp_path_factory: pytest.TempPathFactory, rest: bytes, wide: bool) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}"
    path.write_bytes(b"\x7fELF" + bytes([2 if wide else 1]) + rest)
    assert isinstance(fitness._is_static(str(path)), str)
