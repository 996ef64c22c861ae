"""One relayed connection: both directions, moved by the kernel, with their ends and resets. Standard library only.

Nothing in here waits. Whoever runs the loop asks an `End` for its `interest`, and calls `Connection.proceed` for what
happened to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT

PIPE_BYTES = 1 << 20
"""What moves in one turn. It halves the cost of a bulk transfer against the default of 64 KiB, and takes about half a
millisecond, for which the others wait. 1 MiB is also what an ordinary user may have (pipe-max-size)."""

MAX_PIPES = 8
"""All pipes of a user together may have 64 MiB (pipe-user-pages-soft) before the kernel makes the next ones tiny."""

COPY_BYTES = 64 << 10
"""What moves in one turn without a pipe, and what a connection that is stuck then keeps in memory."""

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ; missing from the module when Python was built on old headers
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


class Pipes:
    """A few pipes, lent while bytes are in them.

    A connection at rest needs its two sockets only, so watches that idle for days cost two descriptors, not six. When
    all pipes are lent, or there is no descriptor for another one, bytes are copied instead.
    """

    def __init__(self, limit: int = MAX_PIPES) -> None:
        self._idle: list[tuple[int, int]] = []
        self._room = limit  # how many more may be made
        self.scratch = memoryview(bytearray(COPY_BYTES))

    def take(self) -> tuple[int, int] | None:
        """Return an empty pipe (read end, write end) to be given back, or None."""
        if self._idle:
            return self._idle.pop()
        if not self._room:
            return None
        try:
            pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        with contextlib.suppress(
            PermissionError
        ):  # the user's pipes have their share already: the default size will do
            fcntl.fcntl(pipe[1], _F_SETPIPE_SZ, PIPE_BYTES)
        self._room -= 1
        return pipe

    def give(self, pipe: tuple[int, int]) -> None:
        """Take back an empty pipe."""
        self._idle.append(pipe)

    def discard(self, pipe: tuple[int, int]) -> None:
        """Close a lent pipe with what is in it."""
        os.close(pipe[0])
        os.close(pipe[1])
        self._room += 1

    def trim(self) -> bool:
        """Close the pipes that are not lent, for their descriptors; return whether there were any."""
        found = bool(self._idle)
        while self._idle:
            self.discard(self._idle.pop())
        return found


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

    __slots__ = ("ended", "held", "pipe", "pipes", "rest", "sink", "source")

    def __init__(self, source: End, sink: End, pipes: Pipes) -> None:
        self.source = source
        self.sink = sink
        self.pipes = pipes
        self.pipe: tuple[int, int] | None = None
        self.rest = b""
        self.held = 0  # bytes in the pipe, or in `rest` when there is none
        self.ended = False

    def read(self) -> None:
        """Move what is there, one turn at most; pass the end of the stream on as such. Raise OSError for a reset."""
        pipe = self.pipes.take()
        if pipe is None:
            self._copy()
            return
        try:
            self.held = os.splice(self.source.fileno, pipe[1], PIPE_BYTES, flags=_FLAGS)
        except BaseException:
            self.pipes.give(pipe)
            raise
        if not self.held:
            self.pipes.give(pipe)
            self._end()
            return
        self.pipe = pipe
        self.write()

    def write(self) -> None:
        """Move on what is held, as far as the other side takes it."""
        if self.pipe:
            with contextlib.suppress(BlockingIOError):
                # Exactly what is in the pipe: asked for more, the kernel would wait for it before it sends (MSG_MORE).
                self.held -= os.splice(self.pipe[0], self.sink.fileno, self.held, flags=_FLAGS)
            if not self.held:
                self.pipes.give(self.pipe)
                self.pipe = None
        else:
            with contextlib.suppress(BlockingIOError):
                self.rest = self.rest[self.sink.socket.send(self.rest) :]
            self.held = len(self.rest)

    def drop(self) -> None:
        """Forget what is held."""
        if self.pipe:
            self.pipes.discard(self.pipe)
            self.pipe = None
        self.rest = b""
        self.held = 0

    def _copy(self) -> None:
        count = self.source.socket.recv_into(self.pipes.scratch)
        if not count:
            self._end()
            return
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.sink.socket.send(self.pipes.scratch[:count])
        self.rest = bytes(self.pipes.scratch[sent:count])
        self.held = len(self.rest)

    def _end(self) -> None:
        self.ended = True
        self.sink.socket.shutdown(socket.SHUT_WR)  # the other direction lives on: a request may end before its answer


class Connection:
    """A client and the target it is connected to."""

    __slots__ = ("client", "closed", "connected", "down", "target", "up")

    def __init__(self, client: socket.socket, target: socket.socket, pipes: Pipes) -> None:
        self.connected = False
        self.closed = False
        self.client = End(self, client)
        self.target = End(self, target)
        self.up = self.client.from_here = self.target.to_here = Flow(self.client, self.target, pipes)
        self.down = self.target.from_here = self.client.to_here = Flow(self.target, self.client, pipes)

    def proceed(self, end: End, events: int) -> None:
        """Do what *events* at *end* allow. Whatever fails on one side becomes a reset on the other."""
        try:
            if not self.connected:
                self._finish_connecting(end, events)
                return
            if events & EPOLLOUT and end.to_here.held:
                end.to_here.write()
            if events & (EPOLLIN | EPOLLHUP | EPOLLERR) and not end.from_here.held and not end.from_here.ended:
                with contextlib.suppress(BlockingIOError):
                    end.from_here.read()
            elif events & EPOLLERR:
                _raise_pending(end.socket)
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
        _raise_pending(end.socket)
        if end is self.target:
            self.connected = bool(events & EPOLLOUT)


def _raise_pending(end: socket.socket) -> None:
    if number := end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))
