"""The command line: one command per file, and the only place that prints or exits. Importing this costs nothing."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the program with the arguments of this process; exits."""
    _open_standard_streams()
    from kubedoctor.cli.main import run

    sys.exit(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Make sure that descriptors 0 to 2 are streams, whatever we were started with.

    A closed one would be given to the next file we open, and what is printed would end up in there. A name of a file
    that is not text must not be a crash either.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115 - it stays open
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
