"""Running a command inside a sandbox: join the namespaces of its pid 1, fork, execute, pass the exit status on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from kubedoctor.cluster import kernel
from kubedoctor.cluster.documents import ProcessStatus
from kubedoctor.cluster.identity import ProcessIdentity, open_process
from kubedoctor.errors import KubedoctorError, NotRunning

_NAMESPACES = {
    "user": kernel.CLONE_NEWUSER,
    "mnt": kernel.CLONE_NEWNS,
    "uts": kernel.CLONE_NEWUTS,
    "ipc": kernel.CLONE_NEWIPC,
    "pid": kernel.CLONE_NEWPID,
    "net": kernel.CLONE_NEWNET,
}
_libc = ctypes.CDLL(None, use_errno=True)

CANNOT_EXECUTE, NOT_FOUND = 126, 127  # as shells report them


def run_inside(supervisor: ProcessStatus, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run *argv* in the sandbox whose pid 1 is *supervisor* and return its exit status as a shell would.

    The calling process has joined the sandbox afterwards and is of no other use. Its working directory is kept where
    the inside has it too. Raise NotRunning when the supervisor is gone, KubedoctorError when the kernel refuses.
    """
    directory = _working_directory()
    join(supervisor)
    os.chdir(directory if Path(directory).is_dir() else "/")
    child = os.fork()
    if child == 0:
        _execute(argv, environment)
    return _wait(child)


def join(supervisor: ProcessStatus) -> None:
    """Join the namespaces of *supervisor* that are not ours already; the pid namespace counts for children only.

    The pidfd is held and the identity looked at before: another process that has got the pid is never joined. The
    kernel takes all namespaces of one call in the right order, the user namespace first.
    """
    handle = open_process(ProcessIdentity(supervisor.pid, supervisor.start_ticks)) if supervisor.pid else None
    if handle is None:
        raise NotRunning("the sandbox has ended", hint="see `kubedoctor status`")
    try:
        foreign = [name for name in _NAMESPACES if _identity("self", name) != _identity(str(supervisor.pid), name)]
        flags = sum(_NAMESPACES[name] for name in foreign)
        if flags and _libc.setns(handle, flags) != 0:
            raise _refused(ctypes.get_errno())
    except OSError as problem:
        raise _refused(problem.errno or 0) from problem
    finally:
        os.close(handle)
    if "user" in foreign:
        with contextlib.suppress(OSError):  # an ordinary user is root inside already; root of outside becomes it
            os.setgid(0)
            os.setuid(0)


def _refused(number: int) -> KubedoctorError:
    return KubedoctorError(
        f"the sandbox cannot be entered: {os.strerror(number)}", hint="enter it as the user who started it, or as root"
    )


def _identity(process: str, namespace: str) -> tuple[int, int]:
    found = os.stat(f"/proc/{process}/ns/{namespace}")  # noqa: PTH116 - the target's inode is what is wanted
    return found.st_dev, found.st_ino


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is what chdir takes
    except FileNotFoundError:
        return "/"


def _execute(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    status = CANNOT_EXECUTE
    try:
        kernel.die_with_parent()  # whoever kills `enter` means what runs in it
        os.execvpe(argv[0], list(argv), dict(environment))  # noqa: S606 - no shell is wanted
    except FileNotFoundError:
        status = NOT_FOUND
        os.write(2, f"{argv[0]}: not found inside\n".encode(errors="replace"))
    except OSError as problem:
        os.write(2, f"{argv[0]}: {problem.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(status)


def _wait(child: int) -> int:
    """Wait for the child; what the terminal sends reaches it by itself, what others send us is passed on."""

    def pass_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
