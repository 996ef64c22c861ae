"""The command line: one command per file, and the only place that prints or exits. Importing this costs nothing."""

from __future__ import annotations

import io
import os
import signal
import sys

_AGAIN = 0.01
"""Seconds until an interrupt that was lost comes once more."""


def main() -> None:
    """Run the program with the arguments of this process; exits.

    Ctrl-C is an exception only while a command runs. Before, nothing has begun and it ends the process as it ends any
    other; afterwards the outcome stands.
    """
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not started in the background
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_standard_streams()
    from kubedoctor.cli.app import App
    from kubedoctor.cli.errors import INTERRUPTED
    from kubedoctor.cli.main import run

    app = App()
    app.is_program = True
    try:
        if interruptible:
            sys.unraisablehook = interrupt_again
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run(sys.argv[1:], app=app)
    except KeyboardInterrupt:  # in the instant before or after the command
        status = INTERRUPTED
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
    sys.exit(status)


def interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Let a Ctrl-C come once more that came where Python drops exceptions, such as in the callback of a weak reference.

    The import system has one at every import: the interrupt was told as ignored, and the command went on.
    """
    if lost.exc_type is KeyboardInterrupt:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    else:
        sys.__unraisablehook__(lost)


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
