"""Directories of a sandbox's own: in a mount namespace of the test's, so that nothing is mounted outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
from kubedoctor.cluster import kernel
from kubedoctor.cluster.documents import PrivateDirectory
from kubedoctor.cluster.private import cover
kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
cover([PrivateDirectory(path=path, source=source) for path, source in json.loads(sys.argv[1])])
exec(sys.argv[2])
"""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def inside(directories: list[tuple[str, str]], script: str) -> str:
    """Return what *script* prints where *directories* are private."""
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *rootless, "--mount", sys.executable, "-c", SCRIPT, json.dumps(directories), script]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory as a machine has it: entries of every kind, and a file system mounted below would be one more."""
    top = tmp_path / "opt"
    (top / "theirs" / "deep").mkdir(parents=True)
    (top / "theirs" / "deep" / "file").write_text("of the machine")
    (top / "file").write_text("content")
    (top / "link").symlink_to("theirs/deep/file")
    (top / "dangling").symlink_to("/no/such/thing")
    return top


def test_a_directory_that_is_there_is_covered(machine: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    script = f"open('{machine}/theirs/new', 'w').write('x'); print(os.listdir('{machine}/theirs'))"
    assert inside([(str(machine / "theirs"), str(own))], script) == "['new']\n"
    assert names(machine / "theirs") == ["deep"]
    assert names(own) == ["new"]


def test_a_missing_directory_appears_inside_and_nothing_is_made_outside(machine: Path, tmp_path: Path) -> None:
    before = names(machine)
    script = (
        f"open('{machine}/cni/bin/x', 'w').close(); print(sorted(os.listdir('{machine}')));"
        f"print(open('{machine}/link').read(), open('{machine}/file').read(), os.readlink('{machine}/dangling'))"
    )
    told = inside([(str(machine / "cni/bin"), str(tmp_path / "own"))], script).splitlines()
    assert told == [str(sorted([*before, "cni"])), "of the machine content /no/such/thing"]
    assert names(machine) == before
    assert names(tmp_path / "own") == ["x"]


def test_the_machines_files_can_be_written_through_what_stands_for_their_directory(
    machine: Path, tmp_path: Path
) -> None:
    inside([(str(machine / "cni"), str(tmp_path / "own"))], f"open('{machine}/theirs/deep/file', 'a').write('!')")
    assert (machine / "theirs" / "deep" / "file").read_text() == "of the machine!"


def test_two_missing_directories_of_one_parent_share_what_stands_for_it(machine: Path, tmp_path: Path) -> None:
    directories = [(str(machine / name), str(tmp_path / name)) for name in ("b", "a", "a/inner")]
    assert inside(directories, f"print(sorted(os.listdir('{machine}')))") == (
        str(sorted(["a", "b", *names(machine)])) + "\n"
    )


def test_without_a_source_it_is_empty_and_leaves_nothing(machine: Path) -> None:
    script = f"open('{machine}/theirs/x', 'w').close(); print(os.listdir('{machine}/theirs'))"
    assert inside([(str(machine / "theirs"), "")], script) == "['x']\n"
    assert names(machine / "theirs") == ["deep"]


def test_a_link_leads_to_where_the_directory_is_made(machine: Path, tmp_path: Path) -> None:
    (machine / "run").symlink_to("theirs")
    script = f"print(os.listdir('{machine}/run/containerd'), os.listdir('{machine}/theirs/containerd'))"
    own = tmp_path / "own"
    own.mkdir()
    (own / "socket").touch()
    assert inside([(str(machine / "run/containerd"), str(own))], script) == "['socket'] ['socket']\n"


def test_a_machine_without_the_topmost_directory_is_told_its_name() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        inside([("/no-such-top/x", "")], "")
    assert "this machine has no such directory: '/no-such-top'" in caught.value.stderr
