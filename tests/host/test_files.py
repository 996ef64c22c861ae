from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import as_ordinary_user, child, descriptors

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host.files import FileKind, list_directory, open_path, read_file, read_text, stat_file

CHROOT = "import os; os.chroot(sys.argv[1]); os.chdir('/'); wait('ready')"
AS_ROOT_INSIDE = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user")


@pytest.fixture
def jail(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Return a directory, and the pid of a process that has it for its root."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("outside")
    (inside / "secret").write_text("inside")
    with child(CHROOT, str(inside), prefix=AS_ROOT_INSIDE) as (process, _):
        yield inside, process.pid


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xffb" * 1000)
    assert read_file(str(tmp_path / "x")) == b"a\xffb" * 1000
    assert read_text(str(tmp_path / "x")) == "a\ufffdb" * 1000


def test_files_of_proc_that_have_no_size_are_read() -> None:
    assert read_text("/proc/self/comm").strip()


@pytest.mark.parametrize("size", [10, 11, 1 << 40])
def test_a_file_is_read_up_to_the_limit_and_not_beyond(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.truncate(size)
    if size <= 10:
        assert len(read_file(str(path), limit=10)) == size
    else:
        with pytest.raises(Malformed, match="larger than 10 bytes"):
            read_file(str(path), limit=10)


def test_what_is_not_there_is_absent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("nothing", "file/below", "dangling"):
        for door in (read_file, open_path, list_directory):
            with pytest.raises(Absent, match="does not exist"):
                door(str(tmp_path / name))


def test_what_is_no_file_is_malformed_and_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    for path, kind in ((tmp_path / "fifo", "fifo"), (tmp_path / "socket", "socket"), (tmp_path, "directory")):
        with pytest.raises(Malformed, match=f"is a {kind}, not a file"):
            read_file(str(path))
    with pytest.raises(Malformed, match="is a device"):
        read_file("/dev/zero")
    with pytest.raises(Malformed, match="is a device, not a directory"):
        list_directory("/dev/zero")


def test_the_writer_of_a_fifo_is_not_woken(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with child(f"open({str(fifo)!r}, 'w')", prefix=("sh", "-c", 'echo ready; exec "$@"', "sh")) as (writer, _):
        while (where := Path(f"/proc/{writer.pid}/wchan").read_text()) != "wait_for_partner":
            if where == "0" and "\nState:\tS" in Path(f"/proc/{writer.pid}/status").read_text():
                pytest.skip("this kernel does not tell where a process waits")
            time.sleep(0.01)
        with pytest.raises(Malformed):
            read_file(str(fifo))
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.2)


def test_a_file_that_gives_nothing_without_waiting_is_not_waited_for() -> None:
    if os.geteuid() != 0 or not Path("/proc/kmsg").exists():
        pytest.skip("needs root")
    with contextlib.suppress(FactError):  # what is in it now, or that there is nothing
        read_file("/proc/kmsg", limit=1)


def test_a_symlink_does_not_lead_out_of_a_root(jail: tuple[Path, int]) -> None:
    inside, pid = jail
    (inside / "absolute").symlink_to("/secret")
    (inside / "upwards").symlink_to("../../../secret")
    (inside / "proc").symlink_to(f"/proc/{os.getpid()}/root")
    for name in ("absolute", "upwards", "../secret", "secret"):
        assert read_text(f"/{name}", root=pid) == "inside"
    with pytest.raises(Absent):
        read_file(str(inside / "secret"), root=pid)
    with pytest.raises(FactError):
        list_directory("/proc", root=pid)


def test_a_magic_link_does_not_lead_out_of_a_root(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    code = (
        "import os, subprocess; r = sys.argv[1]; os.mkdir(r + '/proc')\n"
        "subprocess.run(['mount', '-t', 'proc', 'proc', r + '/proc'], check=True)\n"
        "os.chroot(r); os.chdir('/'); wait('ready')"
    )
    with child(code, str(tmp_path), prefix=("unshare", "--mount")) as (process, _):
        with pytest.raises(FactError):
            read_file("/proc/1/root/etc/passwd", root=process.pid)
        assert read_text(f"/proc/{process.pid}/comm", root=process.pid)


def test_a_process_that_ended_and_was_not_waited_for_has_no_root() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(Silent):
            stat_file("/", root=process.pid)


def test_a_right_that_lacks_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    secret = tmp_path / "key"
    secret.write_text("x")
    secret.chmod(0o000)

    def look() -> list[str]:
        reasons = []
        for path, root in ((str(secret), 0), ("/etc/passwd", 1)):
            try:
                read_file(path, root=root)
            except Denied as problem:
                reasons.append(problem.reason)
        return reasons

    first, second = as_ordinary_user(look)
    assert first.startswith("needs root to read /")
    assert second == "needs root to read /etc/passwd"


def test_the_status_is_that_of_the_path_itself_unless_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    link = stat_file(str(tmp_path / "link"))
    assert (link.kind, link.target) == (FileKind.SYMLINK, "file")
    file = stat_file(str(tmp_path / "link"), follow=True)
    assert (file.kind, file.mode, file.size, file.uid) == (FileKind.FILE, 0o640, 5, os.geteuid())
    assert abs(file.modified - time.time()) < 60
    assert file.inode == (tmp_path / "file").stat().st_ino


def test_a_directory_is_listed_in_order_with_odd_names(tmp_path: Path) -> None:
    for name in (b"b", b"a\nb", b"\xff\xfe", b" "):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    names = list_directory(str(tmp_path))
    assert names == tuple(sorted(names))
    assert {os.fsencode(name) for name in names} == {b"b", b"a\nb", b"\xff\xfe", b" "}


def test_a_directory_without_end_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubedoctor.host.files.ENTRIES", 3)
    for name in "abcd":
        (tmp_path / name).touch()
    with pytest.raises(Malformed, match="more than 3"):
        list_directory(str(tmp_path))


def test_a_socket_is_connected_to_through_its_path(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        handle = open_path(str(tmp_path / "socket"))
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(Malformed, match="not an absolute path"):
        read_file("etc/passwd")


@given(st.text())
def test_any_text_for_a_path_is_an_answer_or_a_fact_error(text: str) -> None:
    for door in (read_file, stat_file, list_directory):
        with contextlib.suppress(FactError):
            door(f"/nowhere/{text}")


@given(st.text())
def test_any_text_for_a_path_in_another_root_is_an_answer_or_a_fact_error(text: str) -> None:
    with contextlib.suppress(FactError):
        read_file(f"/nowhere/{text}", root=os.getpid())


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")

    before = len(descriptors())
    for root in (0, os.getpid()):
        read_file(str(tmp_path / "x"), root=root)
        list_directory(str(tmp_path), root=root)
        stat_file(str(tmp_path / "x"), root=root)
        for path in ("/nowhere", str(tmp_path), "\0"):
            with pytest.raises(FactError):
                read_file(path, root=root)
    assert len(descriptors()) == before


def test_a_rename_somewhere_else_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    code = "import os\nprint('ready', flush=True)\nwhile True:\n os.rename('x', 'y'); os.rename('y', 'x')"
    (tmp_path / "x").touch()
    with child(f"import os; os.chdir({str(tmp_path)!r})\n{code}"):
        for _ in range(500):
            assert read_text(f"{tmp_path}/a/../a/b/../b/file", root=os.getpid()) == "x"


def test_the_kernels_streams_are_not_drained(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to("/proc/kmsg")
    for path in ("/proc/kmsg", str(tmp_path / "config.yaml")):
        with pytest.raises(Malformed, match="is a stream of the kernel's, not a file"):
            read_file(path)
    (tmp_path / "kmsg").write_text("a file")
    assert read_file(str(tmp_path / "kmsg")) == b"a file"


def test_that_a_process_has_ended_does_not_say_that_its_files_are_not_there() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        for look in (read_file, list_directory, stat_file, open_path):
            with pytest.raises(Silent, match=f"process {process.pid}, which sees /etc/passwd, has ended"):
                look("/etc/passwd", root=process.pid)
