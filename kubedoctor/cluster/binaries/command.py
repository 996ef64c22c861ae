"""Running the tools of a build so that they end with us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def run(argv: Sequence[str], directory: Path, env: Mapping[str, str], tell: Callable[[str], None]) -> tuple[int, str]:
    """Run *argv* in *directory* and return exit status and standard output; *tell* is given each line of its errors.

    When this call ends by an exception, Ctrl-C included, the program and all it started are gone. Raise OSError when it
    cannot be run.
    """
    with (
        (directory / ".stdout").open("w+") as output,
        _started(argv, directory, env, output.fileno()) as process,
    ):
        assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        for line in process.stderr:
            tell(line.rstrip("\n"))
        status = process.wait()
        output.seek(0)
        return status, output.read()


@contextlib.contextmanager
def _started(
    argv: Sequence[str], directory: Path, env: Mapping[str, str], output: int
) -> Iterator[subprocess.Popen[str]]:
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    with subprocess.Popen(
        argv,
        cwd=directory,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is ours to pass on, to the whole group
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, looked up before the fork
    ) as process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
