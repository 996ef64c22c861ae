from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.children import child

import kubedoctor
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.disk import DiskSpace, disk_space, in_time

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
TMPFS = "import subprocess; subprocess.run(['mount', '-t', 'tmpfs', '-o', sys.argv[2], 't', sys.argv[1]], check=True)\n"


def space(path: Path | str, root: int = 0) -> DiskSpace:
    return SharedLook().get(disk_space, str(path), root)


def test_the_room_is_that_of_df(tmp_path: Path) -> None:
    found = space(tmp_path)
    status = os.statvfs(tmp_path)
    assert found.size == status.f_blocks * status.f_frsize
    assert 0 < found.available <= found.free <= found.size
    assert found.device == tmp_path.stat().st_dev
    assert found.mount
    assert str(tmp_path).startswith(found.mount)
    assert not found.read_only


def test_what_is_not_there_yet_is_asked_of_the_nearest_that_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert space(tmp_path / "a" / "b").path == str(tmp_path)
    assert space(tmp_path / "file" / "b").path == str(tmp_path / "file")


def test_a_full_disk_is_seen_from_another_root(tmp_path: Path) -> None:
    code = (
        f"{TMPFS}open(sys.argv[1] + '/x', 'wb').write(b'x' * (900 << 10))\n"
        "import os; os.chroot(sys.argv[1]); os.chdir('/'); wait('ready')"
    )
    with child(code, str(tmp_path), "size=1m,nr_inodes=16", prefix=OWN_MOUNTS) as (process, _):
        found = space("/var/lib/kubelet", process.pid)
    assert (found.path, found.kind, found.size) == ("/", "tmpfs", 1 << 20)
    assert found.available <= 124 << 10
    assert (found.inodes, found.inodes_free) == (16, 14)


def test_a_read_only_disk_is_told(tmp_path: Path) -> None:
    with child(f"{TMPFS}wait('ready')", str(tmp_path), "ro", prefix=OWN_MOUNTS) as (process, _):
        assert space(tmp_path, process.pid).read_only


def test_a_process_that_has_ended_has_no_disk() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(Absent):
        space("/var", process.pid)


def test_a_path_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed):
        space("var")


DEAD = """
import ctypes, os, sys, time
device = os.open("/dev/fuse", os.O_RDWR)  # nobody ever reads it: a server that is dead
data = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"server:/dead", sys.argv[1].encode(), b"fuse", 0, data) != 0:
    sys.exit("no FUSE here")
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Silent
from kubedoctor.host.disk import disk_space
begin = time.monotonic()
try:
    SharedLook().get(disk_space, sys.argv[1] + "/etcd", 0)
except Silent as problem:
    print(problem.reason)
assert SharedLook().get(disk_space, "/", 0).size
print(time.monotonic() - begin)
"""


def test_a_dead_server_costs_what_is_on_it_and_holds_nobody_up(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(kubedoctor.__file__).parents[1])}
    begin = time.monotonic()
    done = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", DEAD, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "no FUSE here" in done.stderr or "/dev/fuse" in done.stderr:
        pytest.skip("no FUSE here")
    assert done.returncode == 0, done.stderr
    reason, took = done.stdout.splitlines()
    assert reason == f"server:/dead (fuse) at {tmp_path} did not answer within 1 s"
    assert float(took) < 2
    assert time.monotonic() - begin < 10  # the end of the program is not held up either


def test_what_is_raised_in_time_is_raised() -> None:
    def fail() -> None:
        raise Absent("x")

    with pytest.raises(Absent, match="x"):
        in_time(fail, 1)
    assert in_time(lambda: 7, 1) == 7
