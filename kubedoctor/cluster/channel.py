"""Newline-delimited JSON with descriptors over a unix stream socket. Standard library only: the keeper lives on it."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

MAX_LINE = 1 << 20
"""Bytes of one message. The longest real one is the status of a place: about 1 KiB a component."""

MAX_DESCRIPTORS = 64
"""Descriptors of one message; the kernel would take 253 (SCM_MAX_FD)."""

MAX_BACKLOG = 4 << 20
"""Bytes kept for a peer that does not read. One that lags further is cut off: it must not eat our memory."""

_CHUNK = 64 << 10
_CONTROL_BYTES = socket.CMSG_LEN(253 * array.array("i").itemsize)


class ChannelClosed(ConnectionError):  # noqa: N818 - a state, not a mistake
    """The peer is gone, or was cut off because it did not read."""


class ProtocolError(ValueError):
    """What came, or was to be sent, is no message; says what is wrong in one line."""


class Channel:
    """One end of a conversation. It never blocks, whatever the mode of the socket, which it owns from now on.

    A message that carries descriptors says so in a key of its own, `fds`, added by `send` and taken out by `receive`: a
    stream has no message borders, so one read may bring the descriptors of a message together with lines before it.
    They always arrive in order and not after the last byte of their line, so a queue and a count pair them soundly.

    For a level-triggered event loop: read when readable; while `wants_write`, `flush` when writable.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._incoming = bytearray()
        self._searched = 0  # bytes of _incoming known to hold no newline
        self._arrived: deque[int] = deque()  # descriptors whose message is not complete yet
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self._backlog = 0
        self._failure: ProtocolError | None = None
        self._lost = False  # descriptors came that the kernel could not give us

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor to wait on; -1 once closed."""
        return self._socket.fileno()

    @property
    def socket(self) -> socket.socket:
        """The socket itself, for options and credentials."""
        return self._socket

    @property
    def closed(self) -> bool:
        """Whether this end was closed, by us or by cutting the peer off."""
        return self._socket.fileno() < 0

    @property
    def wants_write(self) -> bool:
        """Whether something waits for the peer to read."""
        return bool(self._outgoing)

    @property
    def backlog(self) -> int:
        """How many bytes wait for the peer to read; at most MAX_BACKLOG."""
        return self._backlog

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send *message* as far as the peer takes it, and keep the rest for `flush`.

        The descriptors are duplicated: the caller may close his at once. Raise ChannelClosed when the peer is gone
        (what it said before can still be received) or lags by more than MAX_BACKLOG (this end is closed then), and
        ProtocolError for a message too large.
        """
        self._require_open()
        line = _encode(message, len(descriptors))
        if self._backlog + len(line) > MAX_BACKLOG:
            self.close()
            raise ChannelClosed(f"the peer does not read: {MAX_BACKLOG >> 20} MiB wait for it")
        held: list[int] = []
        try:
            for descriptor in descriptors:
                held.append(os.dup(descriptor))  # noqa: PERF401 - those made before a failure have to be closed
        except OSError:
            _close_all(held)
            raise
        self._outgoing.append((memoryview(line), held))
        self._backlog += len(line)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the peer takes it; raise ChannelClosed when it is gone."""
        self._require_open()
        while self._outgoing:
            line, descriptors = self._outgoing[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                sent = self._socket.sendmsg([line], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop_outgoing()
                raise ChannelClosed(f"the peer is gone: {error.strerror}") from error
            self._backlog -= sent
            _close_all(descriptors)
            if sent == len(line):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (line[sent:], [])

    def receive(self) -> list[tuple[dict[str, Any], list[int]]]:
        """Return the complete messages that are there, each with its descriptors, which are the caller's to close.

        An empty list means none is complete yet. Raise ChannelClosed at the end of the stream, and ProtocolError when a
        line is no message; both only after the messages before it were returned. After a ProtocolError nothing more is
        read, but the peer can still be told.
        """
        self._require_open()
        if self._failure:
            raise self._failure
        ended = False
        taken = 0
        messages: list[tuple[dict[str, Any], list[int]]] = []
        try:
            while taken < MAX_LINE and not ended:  # a limit: a peer that writes without end must not hold the loop
                count = self._read()
                if count is None:
                    break
                ended = count == 0
                taken += count
                self._take_messages(messages)
        except ProtocolError as error:
            self._failure = error
            self._drop_incoming()
            # The socket stays readable from now on: a level-triggered loop comes back here for the failure.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)
            if not messages:
                raise
        if ended and not messages:
            raise ChannelClosed("the peer closed the connection" + (" within a message" if self._incoming else ""))
        return messages

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether there is something to receive within *timeout* seconds (None: ever); send meanwhile."""
        self._require_open()
        poller = select.poll()
        poller.register(self, select.POLLIN | (select.POLLOUT if self.wants_write else 0))
        ready = poller.poll(None if timeout is None else max(0, timeout) * 1000)
        if any(happened & select.POLLOUT for _, happened in ready):
            self.flush()
        return any(happened & ~select.POLLOUT for _, happened in ready)

    def close(self) -> None:
        """Close this end, and every descriptor that came or waits without having been handed over. Repeatable."""
        self._socket.close()
        self._drop_incoming()
        self._drop_outgoing()

    def _require_open(self) -> None:
        if self.closed:
            raise ChannelClosed("the channel is closed")

    def _read(self) -> int | None:
        """Read once; return how many bytes came, 0 at the end of the stream, None when there is nothing now."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            data, ancillary, happened, _ = self._socket.recvmsg(_CHUNK, _CONTROL_BYTES, flags)
        except BlockingIOError:
            return None
        except OSError:
            return 0  # reset: the peer closed with our bytes unread
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self._arrived.extend(numbers)
        self._incoming += data
        self._lost = self._lost or bool(happened & socket.MSG_CTRUNC)
        return len(data)

    def _take_messages(self, messages: list[tuple[dict[str, Any], list[int]]]) -> None:
        start = 0
        while (end := self._incoming.find(b"\n", max(start, self._searched))) >= 0:
            line = bytes(self._incoming[start:end])
            start = end + 1
            if line.strip():
                messages.append(self._decode(line))
        del self._incoming[:start]
        self._searched = len(self._incoming)
        if self._searched >= MAX_LINE:
            raise ProtocolError(f"a message is longer than {MAX_LINE} bytes")
        if self._arrived and not self._incoming:
            raise ProtocolError(f"{len(self._arrived)} descriptors came that no message announced")
        if len(self._arrived) > MAX_DESCRIPTORS:
            raise ProtocolError(f"more than {MAX_DESCRIPTORS} descriptors came with one message")

    def _decode(self, line: bytes) -> tuple[dict[str, Any], list[int]]:
        if len(line) >= MAX_LINE:
            raise ProtocolError(f"a message is longer than {MAX_LINE} bytes")
        try:
            message = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"not JSON: {_shorten(line)}") from error
        if not isinstance(message, dict):
            raise ProtocolError(f"not a JSON object: {_shorten(line)}")
        announced = message.pop("fds", 0)
        if type(announced) is not int or not 0 <= announced <= MAX_DESCRIPTORS:
            raise ProtocolError(f"`fds` is a number from 0 to {MAX_DESCRIPTORS}: {_shorten(line)}")
        if announced and self._lost:
            raise ProtocolError("descriptors were lost on the way: this process has too many open files")
        if announced > len(self._arrived):
            raise ProtocolError(f"{announced} descriptors were announced, {len(self._arrived)} came: {_shorten(line)}")
        return message, [self._arrived.popleft() for _ in range(announced)]

    def _drop_incoming(self) -> None:
        _close_all(list(self._arrived))
        self._arrived.clear()
        self._incoming.clear()
        self._searched = 0

    def _drop_outgoing(self) -> None:
        while self._outgoing:
            _close_all(self._outgoing.popleft()[1])
        self._backlog = 0


def _encode(message: Mapping[str, Any], descriptors: int) -> bytes:
    if descriptors > MAX_DESCRIPTORS:
        raise ProtocolError(f"{descriptors} descriptors are more than the {MAX_DESCRIPTORS} a message takes")
    if "fds" in message:
        raise ProtocolError("`fds` belongs to the framing: no message may have it")
    whole = {**message, "fds": descriptors} if descriptors else message
    line = json.dumps(whole, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise ProtocolError(f"a message of {len(line)} bytes is longer than {MAX_LINE}")
    return line


def _shorten(line: bytes) -> str:
    text = line[:80].decode(errors="backslashreplace").strip()
    return ascii(text) + ("…" if len(line) > 80 else "")


def _close_all(descriptors: list[int]) -> None:
    """Close the descriptors and forget them, so that none is closed twice."""
    while descriptors:
        os.close(descriptors.pop())
