from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import child

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.mountinfo import Mount, mount_of, mounts, parse_mounts, visible

LINE = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"


def test_our_own_mounts_are_told() -> None:
    found = SharedLook().get(mounts, 0)
    root = mount_of(found, "/")
    assert root is not None
    assert root.path == "/"
    proc = mount_of(found, "/proc/self/status")
    assert proc is not None
    assert proc.kind == "proc"


def test_the_mounts_of_another_namespace_are_its_own(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "x y", str(tmp_path / "a b")]
    code = f"import subprocess; subprocess.run({mount!r}, check=True)"
    (tmp_path / "a b").mkdir()
    prefix = ("unshare", "--user", "--map-root-user", "--mount")
    with child(f"{code}; wait('ready')", prefix=prefix) as (process, _):
        theirs = SharedLook().get(mounts, process.pid)
        found = mount_of(theirs, str(tmp_path / "a b" / "file"))
        assert found is not None
        assert (found.kind, found.source, found.path) == ("tmpfs", "x y", str(tmp_path / "a b"))
        assert "size=64k" in found.super_options
        ours = mount_of(SharedLook().get(mounts, 0), str(tmp_path / "a b"))
        assert ours is not None
        assert ours.path != found.path


def test_a_process_that_has_ended_has_no_mounts() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(Absent):
            SharedLook().get(mounts, process.pid)
        process.wait()
        with pytest.raises(Absent):
            SharedLook().get(mounts, process.pid)


def test_a_line_is_read_as_the_kernel_writes_it() -> None:
    (found,) = parse_mounts(LINE)
    assert (found.id, found.parent, found.root, found.path) == (36, 35, "/mnt1", "/mnt 2")
    assert (found.kind, found.source) == ("ext3", "/dev/root")
    assert found.options == ("rw", "noatime")
    assert found.super_options == ("rw", "errors=continue")
    assert found.propagation == ("master:1", "shared:7")


def test_the_last_mount_on_a_path_counts_and_names_are_not_cut() -> None:
    def line(number: int, path: str) -> bytes:
        return b"%d 1 0:1 / %b rw - tmpfs t%d rw\n" % (number, path.encode(), number)

    found = parse_mounts(line(1, "/") + line(2, "/a") + line(3, "/a") + line(4, "/ab"))
    for path, number in (("/a", 3), ("/a/x", 3), ("/ab/x", 4), ("/abc", 1), ("/", 1)):
        mount = mount_of(found, path)
        assert mount is not None
        assert mount.id == number
    assert mount_of((), "/a") is None


def tree(*mounts: tuple[int, int, str]) -> tuple[Mount, ...]:
    """Return mounts of these numbers, parents and paths."""
    return parse_mounts(
        b"".join(b"%d %d 0:1 / %b rw - tmpfs t rw\n" % (one, up, at.encode()) for one, up, at in mounts)
    )


@pytest.mark.parametrize(
    ("mounts", "seen"),
    [
        (((1, 0, "/"), (2, 1, "/sys"), (3, 2, "/sys/a"), (4, 3, "/sys/a/b")), [2, 3, 4]),
        (((1, 0, "/"), (2, 1, "/sys"), (3, 2, "/sys/a"), (5, 4, "/sys/b"), (4, 2, "/sys")), [4, 5]),  # all of it anew
        (((1, 0, "/"), (2, 1, "/sys/a"), (3, 2, "/sys/a"), (4, 3, "/sys/a/b")), [3, 4]),
        (((1, 0, "/"), (2, 1, "/sys/a/b"), (3, 1, "/sys/a"), (4, 1, "/sys/ab")), [3, 4]),  # above it, later
        (((2, 1, "/sys/a"), (3, 1, "/sys/a"), (4, 1, "/system")), [3]),
        (((2, 3, "/sys/a"), (3, 2, "/sys/a/b")), [2, 3]),  # no kernel says that
        (((2, 2, "/sys"),), [2]),
    ],
)
def test_a_mount_that_another_lies_over_is_not_visible(
    mounts: tuple[tuple[int, int, str], ...], seen: list[int]
) -> None:
    assert sorted(one.id for one in visible(tree(*mounts), "/sys")) == seen


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["/", "/s", "/s/a", "/s/a/b", "/t"])),
        max_size=9,
    )
)
def test_whatever_mounts_there_are_some_are_visible(mounts: list[tuple[int, int, str]]) -> None:
    assert set(visible(tree(*mounts), "/s")) <= set(tree(*mounts))


@given(st.binary(), st.integers(0, len(LINE)))
def test_what_is_no_mount_is_malformed(data: bytes, position: int) -> None:
    for text in (data, LINE[:position] + data + LINE[position:], LINE[:position]):
        with contextlib.suppress(Malformed):
            parse_mounts(text)
