"""Starting a component's process, from the supervisor's main thread. Standard library only.

`posix_spawn` and not `subprocess`: the supervisor has one reaper, nothing else may wait for children behind its back.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from kubedoctor.cluster.documents import PlannedComponent

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
    # Append: nothing an earlier process wrote is lost, and two writers leave no holes. Never through a link: logs may
    # lie in a directory that others can write.
    log = os.open(component.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            {**component.env, **extra_env},
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
        os.close(log)


def describe_exit(status: os.waitid_result) -> str:
    """Return how a process ended in words: `exit status 1`, `killed by SIGKILL`."""
    if status.si_code == os.CLD_EXITED:
        return f"exit status {status.si_status}"
    try:
        name = signal.Signals(status.si_status).name
    except ValueError:
        name = f"signal {status.si_status}"
    return f"killed by {name}" + (", core dumped" if status.si_code == os.CLD_DUMPED else "")
