"""Processes that tests look at, and functions run as an ordinary user."""

from __future__ import annotations

import ctypes
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
UID = 23456
"""An ordinary user, who needs no entry anywhere."""


@contextmanager
def child(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run Python *code*, behind *prefix*, and yield the process with the first line it printed; end it afterwards.

    The code goes on until its standard input ends when it ends in `wait()`.
    """
    code = f"import sys\ndef wait(*said):\n print(*said, flush=True)\n sys.stdin.read()\n{code}"
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                pytest.fail("the child ended before it was ready")
            yield process, line.strip()
        finally:
            process.kill()


def descriptors(process: int | str = "self") -> list[str]:
    """Return what the process has open."""
    return [str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()]


def as_ordinary_user(function: Callable[[], T]) -> T:
    """Return what *function* returns when a child runs it as an ordinary user; as ourselves when we are one already."""
    if os.geteuid() != 0:
        return function()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir("/")
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, which changing the user took away
            try:
                answer: object = (True, function())
            except BaseException:
                answer = (False, traceback.format_exc())
            with os.fdopen(writer, "wb") as stream:
                stream.write(pickle.dumps(answer))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    well, value = pickle.loads(data)
    if not well:
        pytest.fail(value)
    result: T = value
    return result
