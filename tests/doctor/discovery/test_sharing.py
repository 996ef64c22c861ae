"""What can be told of a process without the right to look into it, on the machine the tests run on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kubedoctor.doctor.discovery import sharing as module
from kubedoctor.doctor.discovery.sharing import Sharing, hides_processes, sharing
from kubedoctor.doctor.look import SharedLook

ALONE = "import os, sys; {enter}; print('there', flush=True); sys.stdin.read()"
LISTEN = "import socket; one = socket.socket(socket.AF_UNIX); one.bind('\\0kubedoctor-test'); one.listen()"


@contextmanager
def process(enter: str) -> Iterator[int]:
    """Yield the pid of a Python that has run *enter* and waits."""
    code = ALONE.format(enter=enter)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        if child.stdout.readline() != "there\n":
            pytest.skip("this machine gives no namespaces")
        yield child.pid
        child.terminate()


@pytest.fixture
def our_socket() -> Iterator[None]:
    """A socket in our own network namespace, which then is known by more than nothing."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("\0kubedoctor-test-ours")
        one.listen()
        yield


@pytest.mark.usefixtures("our_socket")
def test_a_process_beside_us_shares_files_and_network() -> None:
    with process("pass") as pid:
        assert SharedLook().get(sharing, pid) == Sharing(root=True, net=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces everywhere")
@pytest.mark.usefixtures("our_socket")
def test_a_process_in_namespaces_of_its_own_shares_nothing() -> None:
    unshare = "import ctypes; libc = ctypes.CDLL(None); assert libc.unshare(0x40020000) == 0"  # NEWNET and NEWNS
    with process(f"{unshare}; {LISTEN}") as pid:
        assert SharedLook().get(sharing, pid) == Sharing(root=False, net=False)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its root directory")
@pytest.mark.usefixtures("our_socket")
def test_another_root_directory_is_not_ours() -> None:
    with process("os.chroot('/var')") as pid:
        assert SharedLook().get(sharing, pid) == Sharing(root=None, net=True)


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    with process("pass") as pid:
        pass
    assert SharedLook().get(sharing, pid) == Sharing(root=None, net=None)


def test_hidepid_is_read_from_the_mount_of_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b"23 28 0:21 / /proc rw,nosuid - proc proc rw%s\n"
    for options, hides in ((b"", False), (b",hidepid=0", False), (b",hidepid=2", True), (b",hidepid=invisible", True)):
        monkeypatch.setattr(module, "read_file", lambda _path, options=options, **_: line % options)
        assert SharedLook().get(hides_processes) is hides
