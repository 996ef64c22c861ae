"""Carries connections between the network namespaces of a place. Standard library only.

A socket belongs to the namespace it was made in. So a relay is given listening sockets made elsewhere, and connects
where it runs itself: inside for what is published outside, outside for what is reached from inside. Its owner tells it
over a `Channel`, whose end ends the relay; it answers nothing, and says on stderr what it cannot do:

    {"relay": "add", "outside": 6443, "target": ["127.0.0.1", 6443]}    with one listening socket as descriptor
    {"relay": "remove", "outside": 6443}                                connections under way go on

`outside` names the listener; several may share it. A target that starts with `/` is a unix socket. An address
`"instead"` is tried where the target refuses.
"""

from __future__ import annotations

import socket
from typing import NoReturn

from kubedoctor.cluster.channel import Channel
from kubedoctor.cluster.forked import live_as
from kubedoctor.cluster.relay_loop import Relay

__all__ = ["Relay", "run_relay"]


def run_relay(channel_socket: socket.socket) -> NoReturn:
    """Be a relay: to be called in a freshly forked child, with its end of the channel; it never returns.

    It dies with the thread that forked it. Whatever else the parent had open is closed here.
    """
    live_as("kd-relay", {channel_socket.fileno()}, lambda: Relay().run(Channel(channel_socket)))
