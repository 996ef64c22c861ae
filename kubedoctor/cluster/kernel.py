"""The system calls Python 3.11 has no name for: namespaces, mounts, process death signals. Standard library only."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE_PIDFD = 0x00001000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 2, 4, 8, 4096, 16384, 1 << 18, 1 << 20

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_AT_FDCWD, _AT_RECURSIVE, _OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = -100, 0x8000, 1, 4
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT = 428, 429  # the same on every architecture since Linux 5.2

_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.PyDLL(None, use_errno=True)  # calls that keep the interpreter's lock


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def clone(namespaces: int) -> tuple[int, int]:
    """Fork this single-threaded process into new *namespaces* in one step; return (pid, pidfd), (0, -1) in the child.

    One call and not `unshare` plus `fork`: the child is pid 1 of its namespace *and* a child of the caller, so that its
    death signal follows the caller, and there is no process in between that could be killed.
    """
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    pidfd = ctypes.c_int(-1)
    _python.PyOS_BeforeFork()
    flags = namespaces | _CLONE_PIDFD | signal.SIGCHLD
    zero = ctypes.c_long(0)
    pid = _python.syscall(ctypes.c_long(number), ctypes.c_ulong(flags), zero, ctypes.byref(pidfd), zero, zero)
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    error = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error), "clone")
    os.set_inheritable(pidfd.value, False)
    return pid, pidfd.value


def die_with_parent() -> None:
    """Have the kernel end this process with SIGKILL when the thread that made it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, as pid 1 is in a sandbox."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def set_process_name(name: str) -> None:
    """Set what ps and top show, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); raise OSError with the target's name."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, target)


class DetachedTree:
    """A copy of the mounts below a path, held while something else is mounted over it, to be put back inside."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.is_directory = Path(path).is_dir()
        flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
        self._descriptor = _check(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path.encode(), flags), path)

    def attach(self) -> None:
        """Mount the tree where it was taken from."""
        arguments = (self._descriptor, b"", _AT_FDCWD, self._path.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
        try:
            _check(_libc.syscall(_SYS_MOVE_MOUNT, *arguments), self._path)
        finally:
            os.close(self._descriptor)


def map_user(pid: int) -> None:
    """Make the caller's user and group 0 in the user namespace of the child *pid*."""
    process = Path(f"/proc/{pid}")
    (process / "uid_map").write_text(f"0 {os.geteuid()} 1\n")
    (process / "setgroups").write_text("deny\n")  # the kernel asks for it before an ordinary user maps a group
    (process / "gid_map").write_text(f"0 {os.getegid()} 1\n")
