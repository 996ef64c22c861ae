"""The event loop of a relay: it accepts, connects and carries. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from select import EPOLLHUP, EPOLLIN
from typing import Any

from kubedoctor.cluster.channel import Channel, ChannelClosed, ProtocolError
from kubedoctor.cluster.relay_connection import Buffers, Connection, End
from kubedoctor.records import dataclass

_UNIX_PATH_BYTES = 107  # sun_path has 108, the last one is NUL
_TURN_ACCEPTS = 64  # so that a flood of new connections does not starve those that are there
_AGAIN_SECONDS = 0.05  # until we look again where no event tells: a full backlog of a unix socket, too many open files
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PASSING = {
    *(errno.EAGAIN, errno.EINTR),
    *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENOPROTOOPT),  # this one client only, see accept(2)
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENONET),
}
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}  # seconds, seconds, probes


@dataclass(slots=True, eq=False)
class _Listener:
    """Where connections come in, and where they go."""

    socket: socket.socket
    outside: int | str
    family: int
    addresses: list[Any]  # of the target, as connect takes them


class Relay:
    """One event loop that accepts, connects and carries. It rests, at no cost, while nothing moves."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._buffers = Buffers()
        self._listeners: dict[int, _Listener] = {}
        self._ends: dict[int, End] = {}
        self._unconnected: list[tuple[Connection, _Listener]] = []  # to a unix socket with a full backlog
        self._paused = False  # out of descriptors: nothing is accepted
        self._look_again = 0.0

    def add(self, listener: socket.socket, target: tuple[str, int], outside: int | str, *, instead: str = "") -> None:
        """Serve *listener*, which the relay owns from now on, with connections to *target*; *outside* is its name.

        Where *target* refuses, the same port of the address *instead* is tried, which is of the same family. Raise
        ValueError when it does not listen, or the target is neither an IP address with a port nor a path, and OSError
        when this machine knows no such addresses. The listener is the caller's then.
        """
        family, address = _resolve(*target)
        addresses = [address]
        if instead:
            other, address = _resolve(instead, target[1])
            if other != family:
                raise ValueError(f"{target[0]} and {instead} are not of one family")
            addresses.append(address)
        socket.socket(family, socket.SOCK_STREAM).close()  # IPv6 may be off: better known now than at each connection
        if listener.type != socket.SOCK_STREAM or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError("this is no listening stream socket")
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:  # what is accepted inherits these
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
        self._listeners[listener.fileno()] = _Listener(listener, outside, family, addresses)
        if not self._paused:
            self._epoll.register(listener, EPOLLIN)

    def remove(self, outside: int | str) -> bool:
        """Listen no more on what is named *outside*; connections under way go on. Return whether there was one."""
        found = [listener for listener in self._listeners.values() if listener.outside == outside]
        for listener in found:
            with contextlib.suppress(OSError):
                listener.socket.shutdown(socket.SHUT_RDWR)  # others may hold it too: it shall listen for no one
            self._drop(listener)
        return bool(found)

    def run(self, control: Channel) -> None:
        """Serve until the channel ends, then reset all connections."""
        self._epoll.register(control, EPOLLIN)
        try:
            while True:
                waits = self._paused or self._unconnected
                happened = self._epoll.poll(_AGAIN_SECONDS if waits else None)
                # First what is open, then what opens something: a new socket may get the number of one just closed, and
                # must not get its events.
                opening = [number for number, events in happened if not self._proceed(number, events)]
                for number in opening:
                    if listener := self._listeners.get(number):
                        self._accept(listener)
                    elif number == control.fileno():
                        self._obey(control)
                if waits and time.monotonic() >= self._look_again:
                    self._try_again()
        except ChannelClosed:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close everything; connections are reset, as an answer cut short must not look like a whole one."""
        for listener in list(self._listeners.values()):
            self._drop(listener)
        for connection in {end.connection for end in self._ends.values()} | {entry[0] for entry in self._unconnected}:
            connection.reset()
        self._ends.clear()
        self._unconnected.clear()
        self._epoll.close()

    def _obey(self, control: Channel) -> None:
        try:
            messages = control.receive()
        except ProtocolError as error:
            _say(f"ends, as what it is told makes no sense: {error}")
            raise ChannelClosed(str(error)) from error
        for message, descriptors in messages:
            try:
                self._obey_one(message, descriptors)
            except (ValueError, OSError) as error:
                _say(f"{error}: {message}")
                for descriptor in descriptors:
                    os.close(descriptor)

    def _obey_one(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        match message, descriptors:
            case {"relay": "add", "outside": int() | str() as outside, "target": [str(address), int(port)]}, [
                descriptor
            ]:
                listener = socket.socket(fileno=descriptor)
                try:
                    self.add(listener, (address, port), outside, instead=str(message.get("instead", "")))
                except BaseException:
                    listener.detach()
                    raise
            case {"relay": "remove", "outside": int() | str() as outside}, []:
                if not self.remove(outside):
                    raise ValueError("nothing listens under this name")
            case _:
                raise ValueError(f"a relay cannot do this with {len(descriptors)} descriptors")

    def _proceed(self, number: int, events: int) -> bool:
        """Let a connection go on; return False when the descriptor is not of one."""
        end = self._ends.get(number)
        if end is None:
            return False
        connection = end.connection
        connection.proceed(end, events)
        if connection.closed:
            del self._ends[connection.client.fileno], self._ends[connection.target.fileno]
            self._look_again = 0.0  # there are descriptors again
            self._buffers.trim()
            return True
        self._watch(connection)
        if events & EPOLLHUP and end.mask == 0:
            # This socket is over in both directions, but what it sent waits for the other side to take it. The kernel
            # would tell us so without end; nothing can be learned from it until it is read.
            self._epoll.unregister(number)
            end.mask = None
        return True

    def _watch(self, connection: Connection) -> None:
        for end in (connection.client, connection.target):
            interest = end.interest
            if end.mask is None and interest:
                self._epoll.register(end.fileno, interest)
                end.mask = interest
            elif end.mask is not None and end.mask != interest:
                self._epoll.modify(end.fileno, interest)
                end.mask = interest

    def _accept(self, listener: _Listener) -> None:
        for _ in range(_TURN_ACCEPTS):
            target = None
            try:
                # The socket to the target first: a client that was accepted never waits for a descriptor.
                target = socket.socket(listener.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                client, _ = listener.socket.accept()
            except OSError as error:
                if target:
                    target.close()
                if error.errno in _SCARCE:
                    self._pause()
                elif error.errno not in _PASSING:
                    _say(f"{listener.outside} is not served any more: {error.strerror}")
                    self._drop(listener)
                return
            client.setblocking(False)
            self._connect(Connection(client, target, self._buffers, listener.addresses), listener)

    def _connect(self, connection: Connection, listener: _Listener) -> None:
        target = connection.target.socket
        if listener.family != socket.AF_UNIX:
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = connection.connect()
        if number == errno.EAGAIN and listener.family == socket.AF_UNIX:
            self._unconnected.append((connection, listener))
            return
        if number not in (0, errno.EINPROGRESS):
            connection.reset()
            return
        for end in (connection.client, connection.target):
            end.mask = end.interest
            self._ends[end.fileno] = end
            self._epoll.register(end.fileno, end.mask)

    def _pause(self) -> None:
        """Accept nothing until a connection closes; for the descriptors of the whole system, look again in a moment."""
        if not self._paused:
            self._paused = True
            for listener in self._listeners.values():
                self._epoll.unregister(listener.socket)
        self._look_again = time.monotonic() + _AGAIN_SECONDS

    def _try_again(self) -> None:
        self._look_again = time.monotonic() + _AGAIN_SECONDS
        if self._paused:
            self._paused = False
            for listener in self._listeners.values():
                self._epoll.register(listener.socket, EPOLLIN)
        waiting, self._unconnected = self._unconnected, []
        for connection, listener in waiting:
            self._connect(connection, listener)

    def _drop(self, listener: _Listener) -> None:
        if not self._paused:
            # Closing is not enough: whoever gave us the socket may have it open still, and we would get its events.
            self._epoll.unregister(listener.socket)
        del self._listeners[listener.socket.fileno()]
        listener.socket.close()


def _resolve(address: str, port: int) -> tuple[int, Any]:
    """Return the family of a target, and its address as connect takes it; no name is looked up."""
    if address.startswith("/") and "\0" not in address and len(os.fsencode(address)) <= _UNIX_PATH_BYTES:
        return socket.AF_UNIX, address
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found = []
    if not found or not 0 < port < 1 << 16:  # getaddrinfo cuts a larger one down
        raise ValueError(f"`{address}` port {port} is neither an IP address with a port nor a path")
    return found[0][0], found[0][4]


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk must not end connections
        print(f"relay: {text}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is the keeper's log
