"""Changing links, routes and packet filters over netlink, with the kernel's word on each. Standard library only."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self

ROUTE, NETFILTER, GENERIC = 0, 12, 16
"""Netlink protocols: links, addresses and routes; all of netfilter; whatever has registered itself by a name."""
CREATE, EXCLUSIVE, REPLACE, APPEND, NOT_RECURSIVE = 0x400, 0x200, 0x100, 0x800, 0x100  # linux/netlink.h: NLM_F_*

_REQUEST, _ACK = 0x1, 0x4
_ERROR = 2  # NLMSG_ERROR, which is an acknowledgement too
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_PATIENCE = 10.0
"""Seconds for an answer: the kernel answers at once, but may wait for a lock that others hold."""


def attribute(kind: int, payload: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that holds others."""
    return attribute(_NESTED | kind, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")


class Netlink:
    """A conversation with the kernel."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(_PATIENCE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it; what belongs to it, such as an owned table, goes with it."""
        self._socket.close()

    def ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Have one thing done; raise OSError as the kernel refuses it."""
        self.ask_all([(kind, body, flags)])

    def ask_all(self, requests: Sequence[tuple[int, bytes, int]], *, wrap: tuple[bytes, bytes] | None = None) -> None:
        """Have several things done; raise OSError for the first that is refused. *wrap*: messages around them."""
        data, waiting = wrap[0] if wrap else b"", set()
        for kind, body, flags in requests:
            self._sequence += 1
            waiting.add(self._sequence)
            data += message(kind, body, _REQUEST | _ACK | flags, self._sequence)
        self._socket.send(data + (wrap[1] if wrap else b""))
        while waiting:
            answer, position = self._socket.recv(1 << 16), 0
            while position + _HEADER.size <= len(answer):
                length, kind, _, sequence, _ = _HEADER.unpack_from(answer, position)
                if kind == _ERROR and (sequence in waiting or not sequence):  # 0: of a message around them
                    waiting.discard(sequence)
                    if number := -struct.unpack_from("=i", answer, position + _HEADER.size)[0]:
                        raise OSError(number, os.strerror(number))
                position += max((length + 3) & ~3, _HEADER.size)


def message(kind: int, body: bytes, flags: int = _REQUEST, sequence: int = 0) -> bytes:
    """Return a message as it is sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
