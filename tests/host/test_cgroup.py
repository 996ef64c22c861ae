from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import child

from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.cgroup import CgroupLayout, Cgroups, cgroups, mounted_controllers, own_path, parse_controllers
from kubedoctor.host.mountinfo import parse_mounts, visible

JAIL = """
import os, subprocess
root, *mounts = sys.argv[1:]
os.makedirs(root + "/sys/fs/cgroup"); os.mkdir(root + "/proc")
for words in mounts:
    kind, options, path = words.split()
    os.makedirs(root + path, exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, root + path], check=True)
os.chroot(root); os.chdir("/")
wait("ready")
"""


def in_jail(root: Path, *mounts: str) -> Cgroups:
    """Return the cgroups of a process that has a root directory with only *mounts* ("kind options path") in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with child(JAIL, str(root), *mounts, prefix=("unshare", "--mount")) as (process, _):
        return SharedLook().get(cgroups, process.pid)


def test_our_own_cgroups_are_those_of_the_machine() -> None:
    found = SharedLook().get(cgroups, 0)
    kinds = {line.split(" - ")[1].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    if found.layout is CgroupLayout.V2:
        assert "cgroup2" in kinds
        assert set(found.controllers) == set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    elif found.layout is not CgroupLayout.NONE:
        assert "cgroup" in kinds
        assert (found.layout is CgroupLayout.HYBRID) == ("cgroup2" in kinds)
    assert SharedLook().get(cgroups, os.getpid()) == found
    assert found.systemd == Path("/run/systemd/system").is_dir()


def test_a_tree_of_version_2_is_told_with_its_controllers(tmp_path: Path) -> None:
    found = in_jail(tmp_path, "cgroup2 rw /sys/fs/cgroup")
    assert found.layout is CgroupLayout.V2
    assert found.controllers == tuple(sorted(found.controllers))
    assert set(found.delegated) <= set(found.controllers)
    if SharedLook().get(cgroups, 0).layout is CgroupLayout.HYBRID:  # a controller is in one of the versions only
        assert "memory" not in found.controllers


def test_a_controller_of_version_1_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    if SharedLook().get(cgroups, 0).layout not in (CgroupLayout.HYBRID, CgroupLayout.V1):
        pytest.skip("needs cgroups of version 1")
    found = in_jail(tmp_path, "tmpfs rw /sys/fs/cgroup", "cgroup cpu /sys/fs/cgroup/cpu")
    assert found.layout is CgroupLayout.V1
    assert found.controllers == ("cpu",)
    assert "memory" in found.unmounted
    assert found.has_quota is True
    assert found.has_freezer is False


def test_no_cgroups_at_all_are_told(tmp_path: Path) -> None:
    found = in_jail(tmp_path, "tmpfs rw /sys/fs/cgroup")
    assert (found.layout, found.controllers) == (CgroupLayout.NONE, ())


def test_what_is_mounted_over_counts_no_more() -> None:
    text = b"".join(
        b"%d 1 0:%d / /sys/fs/cgroup/%b rw - %b x %b\n" % line
        for line in (
            (1, 1, b"cpu,cpuacct", b"cgroup", b"rw,cpu,cpuacct"),
            (2, 2, b"memory", b"cgroup", b"rw,memory"),
            (3, 3, b"memory", b"tmpfs", b"rw"),
            (4, 4, b"systemd", b"cgroup", b"rw,name=systemd"),
        )
    )
    mounted = mounted_controllers(visible(parse_mounts(text), "/sys/fs/cgroup"))
    assert mounted == {"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}


def test_controllers_that_were_switched_off_are_told() -> None:
    text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\npids\t0\t1\t1\n"
    assert parse_controllers(text) == (("memory",), ("cpu", "pids"))


@pytest.mark.parametrize(
    ("path", "root", "own"),
    [
        ("/", "/", ""),
        ("/a/b", "/", "/a/b"),
        ("/docker/x/init.scope", "/docker/x", "/init.scope"),
        ("/docker/x", "/docker/x", ""),
        ("/elsewhere", "/docker/x", ""),
        ("/docker/xy", "/docker/x", ""),
    ],
)
def test_the_own_cgroup_is_where_the_mount_shows_it(path: str, root: str, own: str) -> None:
    assert own_path(path, root) == own


@given(st.text())
def test_any_text_for_controllers_is_read(text: str) -> None:
    parse_controllers(text)
