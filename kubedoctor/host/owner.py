"""Who owns a port of this network namespace, from /proc: asked when binding one failed. Standard library only."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from kubedoctor.host.process_stat import read_stat
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LISTEN = "0A"  # include/net/tcp_states.h
_TIME_WAIT = "06"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that holds a port. `pid` is 0 when it cannot be told, and `reason` says why."""

    port: int
    address: str
    pid: int = 0
    name: str = ""  # of the program
    argv: tuple[str, ...] = ()  # without secrets
    uid: int = -1
    user: str = ""
    started: float = 0.0  # seconds since the epoch
    directory: str = ""  # its working directory
    listening: bool = True  # False: a connection that uses the port at its own end
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    address: IPAddress
    state: str
    uid: int
    inode: int


def owner_of(port: int, address: str = "127.0.0.1") -> Owner | None:
    """Return who keeps *address*:*port* from being bound, or None when no TCP socket does (any more).

    A wildcard address and a specific one exclude each other, and `::` excludes IPv4 unless its socket is IPv6 only; the
    nearest match wins. A socket that is bound and neither listens nor is connected is in no table of the kernel's.
    """
    sockets = [socket for socket in _sockets(port) if excludes(socket.address, ipaddress.ip_address(address))]
    if not sockets:
        return None
    wanted = ipaddress.ip_address(address)
    holder = min(sockets, key=lambda s: (s.state != _LISTEN, s.inode == 0, s.address != wanted, s.address.version))
    listening = holder.state == _LISTEN
    if holder.inode == 0:
        reason = (
            "a connection that was closed a moment ago" if holder.state == _TIME_WAIT else "a connection of no process"
        )
        return Owner(port=port, address=str(holder.address), listening=False, reason=reason)
    pid = _process_with(holder.inode)
    if pid:
        with contextlib.suppress(OSError):  # it may end while we look
            return _owner(pid, port=port, address=str(holder.address), listening=listening)
    return Owner(
        port=port,
        address=str(holder.address),
        uid=holder.uid,
        user=user_name(holder.uid),
        listening=listening,
        reason=why_unknown(holder.uid),
    )


def describe(owner: Owner | None, *, now: float | None = None) -> str:
    """Return *owner* in words: "`etcd --name x` (pid 812, user bob, started 3 h ago, from /tmp/etcd-old)"."""
    if owner is None:
        return "a process that holds it without listening, or that is gone already"
    if not owner.pid:
        if owner.uid < 0:
            return owner.reason
        return f"a process of user {owner.user} ({owner.reason})"
    seconds = (time.time() if now is None else now) - owner.started
    place = f", from {_printable(owner.directory)}" if owner.directory not in ("", "/") else ""
    command = _printable(" ".join([owner.name, *owner.argv[1:]]))
    if len(command) > _COMMAND:
        command = f"{command[: _COMMAND - 1].rstrip()}…"
    text = f"`{command}` (pid {owner.pid}, user {owner.user}, started {ago(seconds)} ago{place})"
    return text if owner.listening else f"a connection of {text}"


_OUR_OWN = "kd-"
_COMMAND = 60
"""Characters of a command line that are shown: enough to know a `python -m http.server 6443` by."""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


# --- /proc ------------------------------------------------------------------------------------------------------------


def _sockets(port: int) -> Iterator[_Socket]:
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        try:
            text = Path(f"/proc/self/net/{table}").read_text()
        except FileNotFoundError:  # IPv6 is disabled
            continue
        for line in text.splitlines()[1:]:
            if wanted not in line:  # most lines: no need to take them apart
                continue
            fields = line.split()
            if fields[1].endswith(wanted):
                address = _address(fields[1].partition(":")[0])
                yield _Socket(address=address, state=fields[3], uid=int(fields[7]), inode=int(fields[9]))


def hex_address(hexadecimal: str) -> str:
    """Return the address of a /proc/net table in its usual form; raise ValueError for what is none."""
    return str(_address(hexadecimal))


def _address(hexadecimal: str) -> IPAddress:
    """Return the address of a /proc/net table: 32-bit words in the order of this machine's bytes."""
    if len(hexadecimal) not in (8, 32):
        raise ValueError(f"no address: {hexadecimal[:40]}")
    words = [int(hexadecimal[start : start + 8], 16) for start in range(0, len(hexadecimal), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 4:
        return ipaddress.IPv4Address(packed)
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address


def excludes(held: IPAddress, wanted: IPAddress) -> bool:
    """Return whether a socket bound to *held* keeps another from being bound to *wanted*, on the same port."""
    if held == wanted:
        return True
    if held.version == wanted.version:
        return held.is_unspecified or wanted.is_unspecified
    # An IPv6 wildcard takes the IPv4 addresses too, unless IPV6_V6ONLY is set, which /proc does not tell.
    return (held if held.version == 6 else wanted).is_unspecified


def _process_with(inode: int) -> int:
    """Return the pid of the process that has the socket; 0 when none that we may look into has it."""
    wanted = f"socket:[{inode}]"
    for pid in _pids():
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                if any(_target(entry.path) == wanted for entry in entries):
                    return pid
        except OSError:  # gone, or another user's
            continue
    return 0


def _pids() -> list[int]:
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 - names are enough


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of them: a Path each would cost more than the call
    except OSError:
        return ""


def _owner(pid: int, *, port: int, address: str, listening: bool) -> Owner:
    directory = Path(f"/proc/{pid}")
    argv = [part.decode(errors="replace") for part in (directory / "cmdline").read_bytes().split(b"\0") if part]
    command = (directory / "comm").read_text(errors="replace").strip()
    name, words = named(command, argv)
    uid = directory.stat().st_uid
    return Owner(
        port=port,
        address=address,
        pid=pid,
        name=name,
        argv=redacted(words),
        uid=uid,
        user=user_name(uid),
        started=read_stat(pid).started,
        directory=_target(f"/proc/{pid}/cwd").removesuffix(" (deleted)"),
        listening=listening,
    )


def named(command: str, argv: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return how a process is called, and the words to show: our own are known by their name, others by argv[0]."""
    if command.startswith(_OUR_OWN):  # our keeper and its children: their command line says nothing
        argv = [command]
    return (Path(argv[0]).name or command if argv else command), tuple(argv)


def user_name(uid: int) -> str:
    """Return the name of a user, or the number when there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def why_unknown(uid: int) -> str:
    """Return why the process that has a socket of user *uid* cannot be told."""
    if os.geteuid() != 0 and uid != os.geteuid():
        return "root can tell which"
    return "its process is not in this pid namespace"


def ago(seconds: float) -> str:
    """Return a length of time in words: `12 s`, `3 min`, `2 h`, `5 d`."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
