from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import as_ordinary_user, child
from support.person import let_pass

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Denied
from kubedoctor.host.holders import Holder, file_holders, parse_locks

LOCKED = "import fcntl; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX); wait('ready')"


def holders(path: Path | str, root: int = 0) -> tuple[Holder, ...]:
    return SharedLook().get(file_holders, str(path), root)


def test_who_has_a_file_open_is_told_with_what_it_does_to_it(tmp_path: Path) -> None:
    file = tmp_path / "db"
    file.touch()
    assert holders(file) == ()
    with (
        child("f = open(sys.argv[1]); wait('ready')", str(file)) as (reader, _),
        child(LOCKED, str(file)) as (other, _),
    ):
        found = {one.pid: one for one in holders(file)}
        assert set(found) == {reader.pid, other.pid}
        assert (found[reader.pid].writes, found[reader.pid].locks) == (False, False)
        assert (found[other.pid].writes, found[other.pid].locks) == (True, True)
        assert found[other.pid].name.startswith("python")
        assert found[other.pid].argv[-1] == str(file)


def test_a_lock_that_is_waited_for_is_its_holders_only(tmp_path: Path) -> None:
    file = tmp_path / "db"
    file.touch()
    with child(LOCKED, str(file)) as (holder, _), subprocess.Popen(["flock", str(file), "true"]) as waiting:
        while "->" not in Path("/proc/locks").read_text():
            assert waiting.poll() is None
        assert {one.pid for one in holders(file) if one.locks} == {holder.pid}
        waiting.kill()


def test_another_file_of_that_name_is_another_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "db").touch()
    with (tmp_path / "a" / "db").open():
        assert holders(tmp_path / "b" / "db") == ()
        assert [one.pid for one in holders(tmp_path / "a" / "db")] == [os.getpid()]


def test_a_symlink_and_another_root_lead_to_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    (tmp_path / "link").symlink_to("db")
    with (tmp_path / "db").open():
        assert [one.pid for one in holders(tmp_path / "link", os.getpid())] == [os.getpid()]


def test_a_file_that_is_not_there_has_no_holders(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        holders(tmp_path / "db")


def test_without_rights_nobody_is_not_said_but_a_lock_is_seen(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    let_pass(tmp_path)
    file = tmp_path / "db"
    file.touch(mode=0o644)

    def look() -> tuple[Holder, ...] | str:
        try:
            return holders(file)
        except Denied as problem:
            return problem.reason

    assert as_ordinary_user(look) == f"needs root to see who has {file} open"
    with child(LOCKED, str(file)) as (holder, _):
        found = as_ordinary_user(look)
        assert isinstance(found, tuple)
        assert [(one.pid, one.locks) for one in found] == [(holder.pid, True)]


def test_locks_are_read_as_the_kernel_writes_them() -> None:
    text = (
        "1: FLOCK  ADVISORY  WRITE 812 fe:00:1311 0 EOF\n"
        "1: -> FLOCK  ADVISORY  WRITE 813 fe:00:1311 0 EOF\n"
        "2: OFDLCK ADVISORY  READ -1 00:2b:99 128 EOF\n"
        "3: LEASE  ACTIVE    READ 9 00:2b:98 0 EOF\n"
    )
    found = parse_locks(text)
    assert [(one.kind, one.writes, one.pid, one.inode) for one in found] == [
        ("FLOCK", True, 812, 1311),
        ("OFDLCK", False, -1, 99),
        ("LEASE", False, 9, 98),
    ]
    assert found[0].device == os.makedev(0xFE, 0)


@given(st.text() | st.from_regex(r"\A\d+: [A-Z]+ +[A-Z]+ +(READ|WRITE) +-?\d+ [0-9a-f]+:[0-9a-f]+:\d+ \d+ EOF\n\Z"))
def test_any_text_for_locks_is_read(text: str) -> None:
    parse_locks(text)
