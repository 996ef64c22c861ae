"""From what the kernel says to the FactErrors that doors raise. Standard library only."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.ENXIO, errno.ENODEV}
_DENIED = {errno.EACCES, errno.EPERM}
_SILENT = {errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTDOWN, errno.EIO, errno.EAGAIN, errno.EINTR}
_LONGEST = 200
"""Characters of foreign text in one line of ours."""


def fact_error(problem: OSError, what: str) -> FactError:
    """Return the FactError for what the kernel said of *what*: "/etc/x does not exist", "needs root to read /etc/x"."""
    what = printable(what)
    number = problem.errno or 0
    if number in _ABSENT:
        return Absent(f"{what} does not exist")
    if number in _DENIED:
        return Denied(f"needs root to read {what}" if os.geteuid() else f"{what} is refused, even to root")
    reason = f"{what}: {os.strerror(number) if number else problem}"
    if number in _SILENT:
        return Silent(reason)
    return Malformed(reason)


@contextmanager
def as_fact_errors(what: str) -> Iterator[None]:
    """Raise as FactErrors what the block raises as OSError, and as ValueError for a path no kernel takes."""
    try:
        yield
    except OSError as problem:
        raise fact_error(problem, what) from problem
    except ValueError as problem:  # a NUL byte, a lone surrogate
        raise Malformed(f"{printable(what)} is no path: {problem}") from problem


def printable(text: str) -> str:
    """Return *text* in one line that cannot steer a terminal, cut when it is long."""
    shown = "".join(character if character.isprintable() else "?" for character in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
