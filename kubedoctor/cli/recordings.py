"""The files of `check --record` and `check --from`."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from kubedoctor.errors import UsageError

if TYPE_CHECKING:
    from kubedoctor.doctor.recording import Recording


def read(file: str) -> Recording:
    """Return the recording in *file* (`-`: stdin); raise UsageError that says in one line what is wrong with it."""
    from kubedoctor.doctor.recording import LARGEST, unpack

    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if file == "-" else _content(file, LARGEST + 1)
    except OSError as problem:
        raise UsageError(f"--from {file}: {problem.strerror}") from None
    try:
        return unpack(data)
    except ValueError as problem:
        raise UsageError(
            f"{file} cannot be read as a recording: {problem}", hint="`kubedoctor check --record FILE` makes one"
        ) from None


def _content(file: str, limit: int) -> bytes:
    # Non-blocking: a named pipe that nobody writes to must not keep us waiting.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"--from {file}: it is not a regular file", hint="--from - reads from stdin")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit)
    finally:
        os.close(descriptor)


def write(file: str, recording: Recording) -> None:
    """Write *recording*, readable for its owner only; compressed when the name ends in .gz."""
    from kubedoctor.cli.outputs import write as write_file
    from kubedoctor.doctor.recording import pack

    write_file(file, pack(recording, compressed=file.endswith(".gz")), mode=0o600)
