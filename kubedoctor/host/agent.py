"""Talking in the network namespace of any process: connections, netlink, and the socket options of legacy iptables.

`net` is the pid of a process in the namespace, for which `prepare` was called; 0 is our own. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import socket
import struct
import time

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host.errors import printable
from kubedoctor.host.socket_agent import TIMEOUT as TIMEOUT
from kubedoctor.host.socket_agent import dismiss as dismiss
from kubedoctor.host.socket_agent import open_socket as open_socket
from kubedoctor.host.socket_agent import prepare as prepare

DUMP_LIMIT = 256 << 20
"""Bytes of one dump: a hundred thousand nftables rules are some 50 MiB."""

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port; linux/netlink.h
_ERROR, _DONE = 2, 3
_MULTI, _INTERRUPTED = 0x2, 0x10
_TRIES = 5
_PIECE = 256 << 10  # the kernel sends at most 32 KiB of a dump at once; one message may be longer
_libc = ctypes.CDLL(None, use_errno=True)


def connect(address: str, port: int, *, net: int = 0, timeout: float = TIMEOUT) -> socket.socket:
    """Return a TCP connection to an IP address, with *timeout* set, to be closed by the caller.

    Raise Silent when it is refused, unreachable or not answered in time, Denied when the namespace cannot be entered,
    Malformed for what is no IP address or port.
    """
    family = _family(address, port)
    until = time.monotonic() + timeout
    made = open_socket(family, socket.SOCK_STREAM, net=net, timeout=timeout)
    try:
        made.settimeout(max(until - time.monotonic(), 0.001))
        made.connect((address, port))
        made.settimeout(timeout)
    except OSError as problem:
        made.close()
        raise _unanswered(
            problem, f"[{address}]:{port}" if ":" in address else f"{address}:{port}", timeout
        ) from problem
    except BaseException:
        made.close()
        raise
    return made


def udp_socket(family: int = socket.AF_INET, *, net: int = 0, timeout: float = TIMEOUT) -> socket.socket:
    """Return an unbound UDP socket with *timeout* set, to be closed by the caller; raise Denied, Absent, Silent."""
    return open_socket(family, socket.SOCK_DGRAM, net=net, timeout=timeout)


def netlink_dump(protocol: int, message: bytes, *, net: int = 0, timeout: float = 2 * TIMEOUT) -> bytes:
    """Send one netlink request (with its header) and return the messages that answer it, without the closing one.

    A dump that changed while it was read is asked for again. Raise Denied (`needs CAP_NET_ADMIN`), Absent (the kernel
    has no such table or protocol), Silent, and Malformed for an answer that is no netlink or longer than 256 MiB.
    """
    until = time.monotonic() + timeout
    for _ in range(_TRIES):
        with open_socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol, net=net, timeout=timeout) as made:
            try:
                made.sendto(message, (0, 0))
                answer = _receive(made, until)
            except TimeoutError:
                raise Silent(f"the kernel did not answer within {timeout:g} s") from None
            except OSError as problem:
                raise netlink_refusal(problem.errno or 0) from problem
        if answer is not None:
            return answer
    raise Silent("what was read kept changing")


def read_option(family: int, level: int, option: int, request: bytes, *, net: int = 0) -> bytes:
    """Return what getsockopt leaves in a buffer that held *request*, asked of a raw socket: legacy iptables' interface.

    Raise Denied (`needs CAP_NET_ADMIN`), Absent (no such table or option), Silent when the table changed just now.
    """
    buffer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint(len(request))
    try:
        made = open_socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW, net=net)
    except Denied as problem:
        raise Denied("needs CAP_NET_ADMIN") from problem
    with made:
        if _libc.getsockopt(made.fileno(), level, option, buffer, ctypes.byref(length)) != 0:
            raise netlink_refusal(ctypes.get_errno())
    return buffer.raw[: length.value]


def netlink_refusal(number: int) -> FactError:
    """Return the FactError for an errno with which the kernel refused to tell a table, link or route."""
    text = os.strerror(number)
    if number in (errno.EPERM, errno.EACCES):
        return Denied("needs CAP_NET_ADMIN")
    if number in (errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
        return Absent(f"the kernel has none: {text}")
    if number in (errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOBUFS):
        return Silent(f"the kernel did not tell: {text}")
    return Malformed(f"the kernel refused the question: {text}")


def _receive(made: socket.socket, until: float) -> bytes | None:
    """Return the messages of one answer, None when the kernel says that they do not fit together."""
    parts: list[bytes] = []
    total, interrupted = 0, False
    while True:
        made.settimeout(max(until - time.monotonic(), 0.001))
        data, _, flags, sender = made.recvmsg(_PIECE)
        if sender[0] != 0:  # another process, which may write to us but is not asked
            continue
        if flags & socket.MSG_TRUNC:
            raise Malformed("a netlink message is longer than any")
        end, torn, finished = scan_messages(data)
        interrupted |= torn
        total += end
        if total > DUMP_LIMIT:
            raise Malformed(f"the answer is longer than {DUMP_LIMIT >> 20} MiB")
        parts.append(data[:end])
        if finished:
            return None if interrupted else b"".join(parts)


def scan_messages(data: bytes) -> tuple[int, bool, bool]:
    """Return how many bytes at the start of *data* are messages, whether one says the dump was interrupted, and
    whether it is the last piece. Raise OSError for an error of the kernel's, Malformed for what is no netlink."""
    position, interrupted, multi = 0, False, False
    while position < len(data):
        if position + _HEADER.size > len(data):
            raise Malformed("a netlink message is cut short")
        length, kind, flags, _, _ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            raise Malformed("a netlink message has a wrong length")
        interrupted |= bool(flags & _INTERRUPTED)
        if kind in (_ERROR, _DONE):
            number = struct.unpack_from("=i", data, position + _HEADER.size)[0] if length >= _HEADER.size + 4 else 0
            if number < 0:
                raise OSError(-number, os.strerror(-number))
            return position, interrupted, True
        multi = bool(flags & _MULTI)
        position += (length + 3) & ~3
    return min(position, len(data)), interrupted, not multi


def _family(address: str, port: int) -> int:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise Malformed(f"`{printable(address)}` is not an IP address") from None
    if not 0 < port < 65536:
        raise Malformed(f"{port} is not a port")
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _unanswered(problem: OSError, where: str, timeout: float) -> FactError:
    if isinstance(problem, TimeoutError):
        return Silent(f"{where} did not answer within {timeout:g} s")
    if isinstance(problem, ConnectionRefusedError):
        return Silent(f"{where} refused the connection")
    return Silent(f"{where} cannot be reached: {problem.strerror}")
