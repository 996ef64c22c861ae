"""Asking a DNS server for the addresses of a name, over UDP, in any network namespace. Standard library only."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time

from kubedoctor.facts import Look, Malformed, Silent, fact
from kubedoctor.host.agent import udp_socket
from kubedoctor.host.errors import printable
from kubedoctor.records import dataclass

TIMEOUT = 1.0
"""Seconds that a server has: CoreDNS answers for a cluster's names in one millisecond."""
_RETRY = 0.4
"""Seconds until the question is sent once more: a datagram may get lost, and the resolver of the C library waits 5."""

_HEADER = struct.Struct("!6H")  # id, flags, questions, answers, authorities, more; RFC 1035 4.1.1
_RECORD = struct.Struct("!2HIH")  # type, class, seconds to live, length
_IS_ANSWER, _TRUNCATED, _RECURSION_WANTED = 0x8000, 0x0200, 0x0100
_KINDS = {"A": 1, "AAAA": 28}
_CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_LARGEST = 4096  # bytes; without EDNS a server sends 512 at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsAnswer:
    """What a server answered: `code` is NOERROR, NXDOMAIN, SERVFAIL, REFUSED …; a name may exist without addresses."""

    code: str
    addresses: tuple[str, ...] = ()
    truncated: bool = False


@fact("host.dns-answer")
def dns_answer(look: Look, server: str, name: str, net: int = 0, kind: str = "A", port: int = 53) -> DnsAnswer:
    """What a DNS server says of a name, asked in the network namespace of process *net* (0: ours)."""
    del look
    return dns_query(server, name, net=net, kind=kind, port=port)


def dns_query(
    server: str, name: str, *, net: int = 0, kind: str = "A", port: int = 53, timeout: float = TIMEOUT
) -> DnsAnswer:
    """Return what the server at an IP address says of the A or AAAA records of *name*.

    Raise Silent when nobody listens there or nothing comes in *timeout* seconds, Denied when the namespace cannot be
    entered, Malformed for what is no address or name, and for an answer that is none.
    """
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        raise Malformed(f"`{printable(server)}` is not an IP address") from None
    question = encode_question(name, kind)
    number = int.from_bytes(os.urandom(2), "big")
    until = time.monotonic() + timeout
    with udp_socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, net=net, timeout=timeout) as asked:
        try:
            asked.connect((server, port))  # so that only this server's datagrams are taken, and "nobody there" is told
            return _ask(asked, _HEADER.pack(number, _RECURSION_WANTED, 1, 0, 0, 0) + question, until)
        except TimeoutError:
            raise Silent(f"{server} did not answer a DNS question within {timeout:g} s") from None
        except ConnectionRefusedError:
            raise Silent(f"nobody listens on {server} port {port}/udp") from None
        except OSError as problem:
            raise Silent(f"{server} cannot be reached: {problem.strerror}") from problem


def _ask(asked: socket.socket, message: bytes, until: float) -> DnsAnswer:
    asked.send(message)
    again = time.monotonic() + _RETRY
    while True:
        now = time.monotonic()
        asked.settimeout(max((min(again, until) if again else until) - now, 0.001))
        try:
            reply = asked.recv(_LARGEST)
        except TimeoutError:
            if not again or again >= until:
                raise
            asked.send(message)
            again = 0.0
            continue
        if is_reply(reply, message):
            return parse_reply(reply, len(message))
        if now >= until:
            raise TimeoutError


def encode_question(name: str, kind: str = "A") -> bytes:
    """Return the question for a name of the internet; raise Malformed when it is none."""
    labels = name.rstrip(".").split(".")
    try:
        encoded = [label.encode("ascii") for label in labels]
    except UnicodeEncodeError:
        encoded = []
    if not encoded or sum(map(len, encoded)) + len(encoded) > 254 or not all(0 < len(one) < 64 for one in encoded):
        raise Malformed(f"`{printable(name)}` is not a DNS name")
    if kind not in _KINDS:
        raise Malformed(f"`{printable(kind)}` is not a kind of record that is asked for")
    words = b"".join(bytes([len(label)]) + label for label in encoded)
    return words + b"\0" + struct.pack("!2H", _KINDS[kind], 1)


def is_reply(reply: bytes, message: bytes) -> bool:
    """Return whether a datagram answers our message: the same number, the same question, letters in any case."""
    if len(reply) < len(message) or reply[:2] != message[:2]:
        return False
    flags, questions = struct.unpack_from("!2H", reply, 2)
    own = slice(_HEADER.size, len(message))
    return bool(flags & _IS_ANSWER) and questions == 1 and reply[own].lower() == message[own].lower()


def parse_reply(reply: bytes, question_end: int) -> DnsAnswer:
    """Return what a reply says, whose question ends at *question_end*; raise Malformed for records that do not fit."""
    _, flags, _, answers, _, _ = _HEADER.unpack_from(reply)
    code = flags & 0xF
    addresses = []
    position = question_end
    for _ in range(answers):
        if flags & _TRUNCATED and position >= len(reply):
            break
        position = _skip_name(reply, position)
        if position + _RECORD.size > len(reply):
            raise Malformed("a DNS answer is cut short")
        kind, _, _, length = _RECORD.unpack_from(reply, position)
        position += _RECORD.size
        data = reply[position : position + length]
        if len(data) < length:
            raise Malformed("a DNS answer is cut short")
        position += length
        if (kind, length) in ((1, 4), (28, 16)):
            addresses.append(str(ipaddress.ip_address(data)))
    return DnsAnswer(
        code=_CODES[code] if code < len(_CODES) else f"code {code}",
        addresses=tuple(addresses),
        truncated=bool(flags & _TRUNCATED),
    )


def _skip_name(reply: bytes, position: int) -> int:
    """Return where a name ends. Names are not read, so a pointer to another place is its last word and not followed."""
    while position < len(reply):
        length = reply[position]
        if length >= 0xC0:
            return position + 2
        position += 1 + length
        if length == 0:
            return position
    raise Malformed("a DNS answer has a name without an end")
