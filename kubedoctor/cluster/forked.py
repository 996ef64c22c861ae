"""Becoming a small process of its own right after a fork of keeper or supervisor. Standard library only."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from kubedoctor.cluster import kernel


def live_as(name: str, kept: set[int], work: Callable[[], None]) -> NoReturn:
    """Be the process *name* that does *work*: to be called in a freshly forked child; it never returns.

    It dies with the thread that forked it. Whatever else than *kept* and the standard descriptors the parent had open
    is closed here.
    """
    status = 1
    try:
        # Should the parent be gone before the first line, its end of a channel is closed and we end by that.
        kernel.die_with_parent()
        kernel.set_process_name(name)
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
            with contextlib.suppress(OSError):  # those the C library keeps for itself
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # writing to who has gone is an error, not our end
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # What is left of the parent's objects shall never be collected: one of them could close a descriptor whose
        # number is ours by then. And collecting writes to memory that is shared as long as nobody does.
        gc.freeze()
        _close_all_but(kept)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        work()
        status = 0
    except BaseException:  # a border: nothing may get back into the parent's code
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _close_all_but(kept: set[int]) -> None:
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(number)
