"""The files of `check --record` and `check --from`."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from kubedoctor.errors import UsageError
from kubedoctor.regular import open_regular

if TYPE_CHECKING:
    from kubedoctor.doctor.recording import Recording


def read(file: str) -> Recording:
    """Return the recording in *file* (`-`: stdin); raise UsageError that says in one line what is wrong with it."""
    from kubedoctor.doctor.recording import LARGEST, unpack

    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if file == "-" else _content(file, LARGEST + 1)
    except (OSError, ValueError) as problem:  # ValueError: a NUL character in the name
        hint = "--from - reads from stdin" if getattr(problem, "errno", 0) == errno.EINVAL else ""
        raise UsageError(f"--from {file}: {getattr(problem, 'strerror', None) or problem}", hint=hint) from None
    try:
        return unpack(data)
    except ValueError as problem:
        raise UsageError(
            f"{file} cannot be read as a recording: {problem}", hint="`kubedoctor check --record FILE` makes one"
        ) from None


def _content(file: str, limit: int) -> bytes:
    with open_regular(file) as stream:
        return stream.read(limit)


def write(file: str, recording: Recording) -> None:
    """Write *recording*, readable for its owner only; compressed when the name ends in .gz."""
    from kubedoctor.cli.outputs import write as write_file
    from kubedoctor.doctor.recording import pack

    write_file(file, pack(recording, compressed=file.endswith(".gz")), mode=0o600)
