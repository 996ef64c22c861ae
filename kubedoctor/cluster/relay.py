"""Carries connections between the network namespaces of a place. Standard library only.

A socket belongs to the namespace it was made in. So a relay is given listening sockets made elsewhere, and connects
where it runs itself: inside for what is published outside, outside for what is reached from inside. Its owner tells it
over a `Channel`, whose end ends the relay; it answers nothing, and says on stderr what it cannot do:

    {"relay": "add", "outside": 6443, "target": ["127.0.0.1", 6443]}    with one listening socket as descriptor
    {"relay": "remove", "outside": 6443}                                connections under way go on

`outside` names the listener; several may share it. A target that starts with `/` is a unix socket.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from kubedoctor.cluster import kernel
from kubedoctor.cluster.channel import Channel
from kubedoctor.cluster.relay_loop import Relay

__all__ = ["Relay", "run_relay"]


def run_relay(channel_socket: socket.socket) -> NoReturn:
    """Be a relay: to be called in a freshly forked child, with its end of the channel; it never returns.

    It dies with the thread that forked it. Whatever else the parent had open is closed here.
    """
    status = 1
    try:
        # Should the parent be gone before the first line, its end of the channel is closed and we end by that.
        kernel.die_with_parent()
        kernel.set_process_name("kd-relay")
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
            with contextlib.suppress(OSError):  # those the C library keeps for itself
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # writing to who has gone is an error, not our end
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # What is left of the parent's objects shall never be collected: one of them could close a descriptor whose
        # number is ours by then. And collecting writes to memory that is shared as long as nobody does.
        gc.freeze()
        _close_all_but(channel_socket.fileno())
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        Relay().run(Channel(channel_socket))
        status = 0
    except BaseException:  # a border: nothing may get back into the parent's code
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _close_all_but(kept: int) -> None:
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number != kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(number)
