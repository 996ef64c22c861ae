from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import as_ordinary_user, child

from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.process import (
    Process,
    open_files,
    our_namespaces,
    parse_cgroups,
    parse_environment,
    parse_words,
    processes,
)
from kubedoctor.jsonform import from_json, to_json


def everyone() -> dict[int, Process]:
    return {process.pid: process for process in SharedLook().get(processes)}


def test_we_are_among_the_processes() -> None:
    me = everyone()[os.getpid()]
    assert me.parent == os.getppid()
    assert me.argv[0] in (sys.executable, sys.argv[0], sys.orig_argv[0])
    assert me.executable == os.path.realpath("/proc/self/exe")
    assert me.directory == str(Path.cwd())
    assert me.uid == os.geteuid()
    assert me.state in "RS"
    assert time.time() - 3600 < me.started <= time.time() + 1
    assert me.root_is_ours is True
    assert me.namespaces == SharedLook().get(our_namespaces)
    assert me.environment is not None
    assert "PATH" not in me.environment
    assert me.cgroups
    assert not me.is_kernel_thread


def test_processes_are_in_order_and_have_a_json_form() -> None:
    found = SharedLook().get(processes)
    assert [one.pid for one in found] == sorted(one.pid for one in found)
    assert from_json(processes.kind, json.loads(json.dumps(to_json(found)))) == found


def test_only_variables_that_change_a_component_are_kept_and_no_secret() -> None:
    environment = {
        "ETCD_NAME": "m1",
        "ETCD_PASSWORD": "hunter2",
        "HTTPS_PROXY": "http://bob:hunter2@proxy:3128",
        "no_proxy": "10.0.0.0/8",
        "GOMAXPROCS": "2",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "MY_CHOICE": "x",
    }
    done = subprocess.Popen(["sleep", "60"], env=environment)
    try:
        found = everyone()[done.pid]
    finally:
        done.kill()
        done.wait()
    assert found.environment == {
        "ETCD_NAME": "m1",
        "ETCD_PASSWORD": "…",
        "HTTPS_PROXY": "http://bob:…@proxy:3128",
        "no_proxy": "10.0.0.0/8",
        "GOMAXPROCS": "2",
    }


def test_names_and_arguments_may_be_anything() -> None:
    name = b"a) R 1 (\n\xffx"
    code = f"import ctypes; ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0); wait('ready')"
    with child(code, "a\nb", "--token=abc", os.fsdecode(b"\xff"), "", "end") as (process, _):
        found = everyone()[process.pid]
    assert found.name == "a) R 1 (\n\ufffdx"
    assert found.parent == os.getpid()
    assert found.argv[-5:] == ("a\nb", "--token=…", "\ufffd", "", "end")


def test_a_command_line_without_end_is_cut_and_says_so() -> None:
    with child("wait('ready')", *["x" * 100_000] * 3) as (process, _):
        found = everyone()[process.pid]
    assert found.argv_cut
    assert sum(map(len, found.argv)) < 140_000


def test_another_root_and_other_namespaces_are_seen(tmp_path: Path) -> None:
    code = "import os; os.chroot(sys.argv[1]); os.chdir('/'); wait('ready')"
    with child(code, str(tmp_path), prefix=("unshare", "--user", "--map-root-user", "--net")) as (process, _):
        found = everyone()[process.pid]
    ours = SharedLook().get(our_namespaces)
    assert found.root_is_ours is False
    assert found.namespaces["net"] != ours["net"]
    assert found.namespaces["user"] != ours["user"]
    assert found.namespaces["mnt"] == ours["mnt"]


def test_another_mount_namespace_is_another_root() -> None:
    prefix = ("unshare", "--user", "--map-root-user", "--mount")
    with child("wait('ready')", prefix=prefix) as (process, _):
        assert everyone()[process.pid].root_is_ours is False


def test_what_an_ordinary_user_may_not_see_is_not_made_up() -> None:
    with child("wait('ready')", "--flag", prefix=()) as (process, _):
        found = as_ordinary_user(everyone)[process.pid]
    if os.geteuid() != 0:
        pytest.skip("needs root")
    assert found.argv[-1] == "--flag"  # everybody may see it
    assert found.uid == 0
    assert (found.environment, found.executable, found.directory) == (None, "", "")
    assert (dict(found.namespaces), found.root_is_ours) == ({}, None)


def test_a_process_that_has_ended_and_was_not_waited_for_is_a_zombie() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        found = everyone()[process.pid]
    assert found.state == "Z"
    assert (found.argv, found.executable, found.root_is_ours) == ((), "", None)


def test_processes_may_end_while_they_are_looked_at() -> None:
    stop = threading.Event()

    def breed() -> None:
        while not stop.is_set():
            subprocess.run(["true"], check=True)

    threads = [threading.Thread(target=breed) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            found = SharedLook().get(processes)
            assert os.getpid() in {one.pid for one in found}
            for one in found[-5:]:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    list(open_files(one.pid))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_kernel_threads_are_told_from_processes() -> None:
    found = everyone()
    if 2 not in found or found[2].name != "kthreadd":
        pytest.skip("no kernel threads in this pid namespace")
    assert found[2].is_kernel_thread
    assert all(one.argv == () for one in found.values() if one.is_kernel_thread)
    assert not found[1].is_kernel_thread


# --- texts of /proc ---------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1).filter(lambda word: b"\0" not in word)))
def test_the_words_of_a_command_line_come_back(words: list[bytes]) -> None:
    assert parse_words(b"".join(word + b"\0" for word in words)) == [word.decode(errors="replace") for word in words]


def test_a_title_written_over_the_arguments_is_one_word() -> None:
    assert parse_words(b"nginx: master process\0\0\0\0") == ["nginx: master process"]
    assert parse_words(b"") == []


@given(st.binary())
def test_any_environment_and_any_cgroups_are_read(data: bytes) -> None:
    for text in (data, b"ETCD_NAME=" + data, b"0::" + data):
        parse_environment(text)
        parse_cgroups(text)


def test_the_cgroups_of_both_versions_are_told() -> None:
    data = b"12:cpu,cpuacct:/a\n1:name=systemd:/b:c\n0::/d\n"
    assert parse_cgroups(data) == {"cpu": "/a", "cpuacct": "/a", "name=systemd": "/b:c", "": "/d"}
