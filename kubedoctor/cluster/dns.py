"""Asking one name server for the addresses of one name. Standard library only.

The resolver of the C library asks whoever /etc/resolv.conf names and waits 5 s before it tries again; a service that
has just been programmed refuses or drops the first question, and a short retry finds it 5 s earlier.
"""

from __future__ import annotations

import os
import socket
import struct

TIMEOUT = 0.25
"""Seconds for an answer over interfaces of this machine; whoever asks tries again."""
_IN, _A = 1, 1
_RECURSION_DESIRED, _RESPONSE, _ERRORS = 0x0100, 0x8000, 0x000F
_POINTER = 0xC0


def resolve(name: str, server: str, port: int = 53, timeout: float = TIMEOUT) -> tuple[str, ...]:
    """Return the IPv4 addresses *server* has for *name*, none when it has none; raise OSError when it is silent."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    query, number = _query(name)
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.connect((server, port))  # a refused port is told as an error, and nobody else is heard
        asking.send(query)
        while True:
            answer = asking.recv(4096)
            if answer[:2] == number:
                return addresses_of(answer)


def _query(name: str) -> tuple[bytes, bytes]:
    number = os.urandom(2)
    labels = b"".join(bytes((len(label),)) + label for label in name.rstrip(".").encode("idna").split(b"."))
    header = number + struct.pack(">HHHHH", _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack(">HH", _A, _IN), number


def addresses_of(answer: bytes) -> tuple[str, ...]:
    """Return the IPv4 addresses in an answer; none for an error, an unknown name, or a broken message."""
    try:
        flags, questions, answers = struct.unpack_from(">HHH", answer, 2)
        if not flags & _RESPONSE or flags & _ERRORS:
            return ()
        position = 12
        for _ in range(questions):
            position = _after_name(answer, position) + 4
        found = []
        for _ in range(answers):
            position = _after_name(answer, position)
            kind, of_class, _, length = struct.unpack_from(">HHIH", answer, position)
            position += 10
            if (kind, of_class, length) == (_A, _IN, 4):
                found.append(socket.inet_ntoa(answer[position : position + 4]))
            position += length
    except (struct.error, IndexError, OSError):
        return ()
    return tuple(found)


def _after_name(message: bytes, position: int) -> int:
    """Return where the name at *position* ends; what it says does not matter here."""
    while message[position]:
        if message[position] & _POINTER == _POINTER:
            return position + 2
        position += 1 + message[position]
    return position + 1
