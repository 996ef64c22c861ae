"""Starting a component's process, from the supervisor's main thread. Standard library only.

`posix_spawn` and not `subprocess`: the supervisor has one reaper, nothing else may wait for children behind its back.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import Mapping

from kubedoctor.cluster.documents import PlannedComponent

_UMASK = 0o022
_DIE_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"  # PR_SET_PDEATHSIG, SIGKILL; it survives execve
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"  # the parent ended before the call
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def spawn(component: PlannedComponent, extra_env: Mapping[str, str], *, die_with_parent: bool) -> int:
    """Start *component* in a session of its own, its output appended to its log; return its pid.

    With *die_with_parent* the kernel ends it when the supervisor ends: on the host there is no namespace that does so.
    Raise OSError when the binary cannot be executed or the log cannot be opened.
    """
    argv = list(component.argv)
    if die_with_parent:
        os.close(os.open(argv[0], os.O_RDONLY | os.O_CLOEXEC))  # else its absence would be told in a log only
        argv = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]
    log = open_log(component.log)
    # Ours lets nobody read; what a kubelet makes in volumes and cgroups others have to.
    private = os.umask(_UMASK)
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            environment(component, extra_env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)],
        )
    finally:
        os.umask(private)
        os.close(log)


def environment(component: PlannedComponent, extra_env: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment; `$(NAME)` stands for what is known only now, such as this run's secret."""
    settled = dict(component.env)
    for name, value in extra_env.items():
        settled = {key: text.replace(f"$({name})", value) for key, text in settled.items()}
    return {**settled, **extra_env}


def open_log(path: str) -> int:
    """Return a descriptor that appends to the log at *path*, which is made if need be; raise OSError if it is not ours.

    Append: nothing an earlier process wrote is lost, and two writers leave no holes. Logs may lie in a directory that
    others can write (`LOG_DIR`), so a link, a pipe or another user's file there is refused.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        found = os.fstat(descriptor)
    except OSError as problem:
        if problem.errno in (errno.ELOOP, errno.ENXIO):  # a link; a pipe nobody reads
            raise OSError(problem.errno, "is not a regular file: remove it, or choose another LOG_DIR", path) from None
        raise
    if stat.S_ISREG(found.st_mode) and found.st_uid in (0, os.geteuid()) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, "is not a file of ours: remove it, or choose another LOG_DIR", path)


def describe_exit(status: os.waitid_result) -> str:
    """Return how a process ended in words: `exit status 1`, `killed by SIGKILL`."""
    if status.si_code == os.CLD_EXITED:
        return f"exit status {status.si_status}"
    try:
        name = signal.Signals(status.si_status).name
    except ValueError:
        name = f"signal {status.si_status}"
    return f"killed by {name}" + (", core dumped" if status.si_code == os.CLD_DUMPED else "")
