"""One relayed connection: both directions, with their ends, half-ends and resets. Standard library only.

Nothing in here waits. Whoever runs the loop asks an `End` for its `interest`, and calls `Connection.proceed` for what
happened to it.

Bytes are copied, not spliced through pipes: that was measured to be faster. Spliced, a gigabyte takes the relay 0.36
seconds of a processor instead of 0.42, but its receiver 0.42 instead of 0.22, as bytes reach it in single pages (on two
processors 1.4-1.8 GB/s by copying, 0.8-1.2 through pipes of 1 MiB). And a connection that copies has two descriptors,
not six. Sizes of socket buffers, SO_RCVLOWAT, huge pages and a priority of its own were tried too: none is worth it.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import Any

BUFFER_BYTES = 4 << 20
"""What moves in one turn, at most, in less than two milliseconds, for which the others wait. The kernel wakes a
receiver for each packet while it is faster than its sender, so that moving less at a time is dearer: a gigabyte takes
0.49 seconds of a processor in turns of 512 KiB, 0.46 of 2 MiB, 0.41 of 4 MiB, and of 8 MiB as well."""

MAX_BUFFERS = 4
"""Buffers of that size; when all of them wait for receivers that do not read, the other connections have small ones."""

SMALL_BYTES = 64 << 10
"""What any connection may have waiting in memory."""

_MAX_IDLE = 2
_NOTHING = memoryview(b"")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


class Buffers:
    """Memory that is lent to a direction while bytes wait in it: a connection at rest has none."""

    def __init__(self) -> None:
        self._idle: list[memoryview] = []
        self._room = MAX_BUFFERS  # how many more may be made
        self._small = memoryview(bytearray(SMALL_BYTES))

    def take(self) -> memoryview:
        """Return a buffer, to be given back or kept by `keep`."""
        if self._idle:
            return self._idle.pop()
        if not self._room:
            return self._small
        self._room -= 1
        return memoryview(mmap.mmap(-1, BUFFER_BYTES))  # of its own, so that it goes back to the system as a whole

    def give(self, buffer: memoryview) -> None:
        """Take a buffer back."""
        if len(buffer) != BUFFER_BYTES:
            return
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(buffer)
        else:
            self._room += 1

    def keep(self, buffer: memoryview, rest: memoryview) -> memoryview:
        """Return *rest*, a part of *buffer*, as it may stay until later: the small buffer is everybody's."""
        return memoryview(bytes(rest)) if buffer is self._small else rest

    def trim(self) -> None:
        """Give the memory that is not lent back to the system."""
        self._room += len(self._idle)
        self._idle.clear()


class End:
    """One socket of a connection. `mask` is what the loop waits for now, None while it does not watch the socket."""

    __slots__ = ("connection", "fileno", "from_here", "mask", "socket", "to_here")

    def __init__(self, connection: Connection, end: socket.socket) -> None:
        self.connection = connection
        self.socket = end
        self.fileno = end.fileno()
        self.mask: int | None = None
        self.from_here: Flow
        self.to_here: Flow

    @property
    def interest(self) -> int:
        """What to wait for on this socket."""
        if not self.connection.connected:
            return EPOLLOUT if self is self.connection.target else 0
        return (0 if self.from_here.ended or self.from_here.held else EPOLLIN) | (EPOLLOUT if self.to_here.held else 0)


class Flow:
    """One direction: at most one turn of bytes is between the sockets; more is read when those are written."""

    __slots__ = ("_buffer", "_buffers", "_rest", "_sink", "_source", "ended", "held")

    def __init__(self, source: socket.socket, sink: socket.socket, buffers: Buffers) -> None:
        self._source = source
        self._sink = sink
        self._buffers = buffers
        self._buffer = self._rest = _NOTHING
        self.held = 0  # bytes read and not written yet
        self.ended = False

    def read(self) -> None:
        """Move what is there, one turn at most; pass the end of the stream on as such. Raise OSError for a reset."""
        self._buffer = self._buffers.take()
        try:
            self.held = self._source.recv_into(self._buffer)
        except BlockingIOError:
            self.drop()
            return
        if not self.held:
            self.drop()
            self.ended = True
            self._sink.shutdown(socket.SHUT_WR)  # the other direction lives on: a request may end before its answer
            return
        self._rest = self._buffer[: self.held]
        self.write()
        if self.held:
            self._rest = self._buffers.keep(self._buffer, self._rest)

    def write(self) -> None:
        """Move on what is held, as far as the other side takes it."""
        try:
            sent = self._sink.send(self._rest)
        except BlockingIOError:
            return
        self.held -= sent
        if self.held:
            self._rest = self._rest[sent:]
        else:
            self.drop()

    def drop(self) -> None:
        """Forget what is held."""
        self._buffers.give(self._buffer)
        self._buffer = self._rest = _NOTHING
        self.held = 0


class Connection:
    """A client and the target it is connected to."""

    __slots__ = ("_addresses", "client", "closed", "connected", "down", "target", "up")

    def __init__(
        self, client: socket.socket, target: socket.socket, buffers: Buffers, addresses: Sequence[Any]
    ) -> None:
        """*addresses* of the target are tried in turn, as long as they refuse."""
        self._addresses = list(addresses)
        self.connected = False
        self.closed = False
        self.client = End(self, client)
        self.target = End(self, target)
        self.up = self.client.from_here = self.target.to_here = Flow(client, target, buffers)
        self.down = self.target.from_here = self.client.to_here = Flow(target, client, buffers)

    def connect(self) -> int:
        """Begin to connect and return 0 or the error's number, EINPROGRESS where it is under way."""
        target = self.target.socket
        number = target.connect_ex(self._addresses[0])
        if number == errno.ECONNABORTED:  # the call only took note that the address before had refused
            number = target.connect_ex(self._addresses[0])
        if number == errno.ECONNREFUSED and self._has_another():
            return self.connect()
        self.connected = number == 0
        return number

    def _has_another(self) -> bool:
        """Go on to the next address; return False when there is none."""
        if len(self._addresses) < 2:
            return False
        del self._addresses[0]
        return True

    def proceed(self, end: End, events: int) -> None:
        """Do what *events* at *end* allow. Whatever fails on one side becomes a reset on the other."""
        try:
            if not self.connected:
                self._finish_connecting(end, events)
                return
            if events & EPOLLOUT and end.to_here.held:
                end.to_here.write()
            if events & (EPOLLIN | EPOLLHUP | EPOLLERR) and not end.from_here.held and not end.from_here.ended:
                end.from_here.read()
            elif events & EPOLLERR:
                _raise(_pending(end.socket))
        except OSError:
            self.reset()
            return
        if self.up.ended and self.down.ended:
            self.close()

    def reset(self) -> None:
        """Close both sides so that both see a reset, not an end: what was on its way is lost, and they shall know."""
        for end in (self.client, self.target):
            with contextlib.suppress(OSError):
                end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close both sides. Repeatable."""
        self.closed = True
        for flow in (self.up, self.down):
            flow.drop()
        for end in (self.client, self.target):
            end.socket.close()

    def _finish_connecting(self, end: End, events: int) -> None:
        number = _pending(end.socket)
        if number == errno.ECONNREFUSED and end is self.target and self._has_another():
            number = self.connect()
            if number in (0, errno.EINPROGRESS):
                return
        _raise(number)
        if end is self.target:
            self.connected = bool(events & EPOLLOUT)


def _pending(end: socket.socket) -> int:
    """Return the number of the error that waits at a socket, 0 when there is none."""
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))
