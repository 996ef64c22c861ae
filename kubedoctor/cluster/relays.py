"""A relay as its owner sees it: a forked process that can be given listeners, and is made again when it dies.

Standard library only. The supervisor owns the one inside, the keeper the one outside.
"""

from __future__ import annotations

import contextlib
import os
import socket

from kubedoctor.cluster.channel import Channel, ChannelClosed
from kubedoctor.cluster.relay import run_relay
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, where its connections go to, and the number it is known by."""

    descriptor: int
    address: str
    port: int
    outside: int
    instead: str = ""  # the address that is tried where nobody listens at the other


def published(descriptor: int, inside: int, outside: int, place_address: str) -> Listener:
    """Return a listener for a port of the inside: of its loopback, or else of the place's own address.

    kube-proxy serves node ports at both in its mode iptables, in its mode nftables at the latter alone.
    """
    return Listener(descriptor, "127.0.0.1", inside, outside, place_address)


class RelayProcess:
    """The relay of one side. It is forked when there is a first listener."""

    def __init__(self) -> None:
        self._listeners: dict[int, Listener] = {}
        self._pid = 0
        self._channel: Channel | None = None

    def add(self, listener: Listener) -> None:
        """Have the relay serve *listener*; its descriptor is ours from now on."""
        self._listeners[listener.outside] = listener
        if self._pid == 0:
            self._fork()
        else:
            self._hand_over(listener)

    def remove(self, outside: int) -> bool:
        """Stop serving a listener; return whether there was one. Connections under way go on."""
        listener = self._listeners.pop(outside, None)
        if listener is None:
            return False
        os.close(listener.descriptor)
        self._say({"relay": "remove", "outside": outside})
        return True

    def ended(self, pid: int) -> bool:
        """Make a new relay when *pid* was it; return whether it was. Its listeners were kept open here meanwhile."""
        if pid != self._pid:
            return False
        if self._channel is not None:
            self._channel.close()
        self._fork()
        return True

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                run_relay(theirs)
            finally:
                os._exit(1)
        theirs.close()
        self._pid, self._channel = pid, Channel(ours)
        for listener in self._listeners.values():
            self._hand_over(listener)

    def _hand_over(self, listener: Listener) -> None:
        target = [listener.address, listener.port]
        instead = {"instead": listener.instead} if listener.instead else {}
        self._say({"relay": "add", "target": target, "outside": listener.outside, **instead}, (listener.descriptor,))

    def _say(self, message: dict[str, object], descriptors: tuple[int, ...] = ()) -> None:
        if self._channel is not None:
            with contextlib.suppress(ChannelClosed):  # it died: `ended` comes, and gives the new one all there is
                self._channel.send(message, descriptors)
