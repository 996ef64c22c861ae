"""A real relay process, and the small servers and clients that tests put around it."""

from __future__ import annotations

import contextlib
import random
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kubedoctor.cluster.channel import Channel

TIMEOUT = 20.0  # seconds until a socket operation of a test counts as hanging

_PATTERN = random.Random(1).randbytes(100_003)

PLAIN = """
import socket, sys
from kubedoctor.cluster.relay import run_relay
run_relay(socket.socket(fileno=int(sys.argv[1])))
"""


class RelayProcess:
    """A relay in a process of its own, as keeper and supervisor have it."""

    def __init__(self, program: str = PLAIN, limit: int | None = None) -> None:
        ours, theirs = socket.socketpair()
        prefix = ["prlimit", f"--nofile={limit}:{limit}"] if limit else []
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", program, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        self.channel = Channel(ours)
        self._probe: tuple[socket.socket, ...] = ()

    def publish(self, target: Sequence[object], listener: socket.socket | None = None, **more: str) -> tuple[str, int]:
        """Have the relay listen for *target*; return the address it listens at."""
        with listener or socket.create_server(("127.0.0.1", 0), backlog=1024) as own:
            address = own.getsockname()
            outside = address[1] if own.family != socket.AF_UNIX else "unix"
            self.channel.send({"relay": "add", "outside": outside, "target": list(target), **more}, [own.fileno()])
            return address if isinstance(address, str) else address[:2]  # type: ignore[return-value]

    def settle(self) -> None:
        """Return when the relay has done whatever there was to do before: it then has carried a word there and back."""
        if not self._probe:
            with socket.create_server(("127.0.0.1", 0)) as server:
                self._probe = (connect(self.publish(server.getsockname())), accept(server))
        for source, sink in (self._probe, self._probe[::-1]):
            source.sendall(b"!")
            assert sink.recv(1) == b"!"

    def sockets(self) -> int:
        """Return how many sockets the relay has open."""
        found = []
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(str(entry.readlink()))
        return sum(each.startswith("socket:") for each in found)

    def status(self, key: str) -> int:
        """Return a number of /proc/<pid>/status."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0])
        raise KeyError(key)

    def is_quiet(self, seconds: float) -> bool:
        """Return whether the relay uses no time of a processor for a while; a loop that spins uses nearly all of it."""
        before = self._ticks()
        select.select([], [], [], seconds)  # an interval in which nothing is to happen
        return self._ticks() - before <= 2  # hundredths of a second: what it did before may be counted late

    def _ticks(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # utime and stime

    def forget(self) -> None:
        """Close the channel, which ends the relay."""
        self.channel.close()
        for end in self._probe:
            end.close()

    def end(self) -> str:
        """End the relay by the end of its channel; return what it said."""
        self.forget()
        said = self.process.communicate(timeout=TIMEOUT)[1]
        assert self.process.returncode == 0, said
        return said


@contextlib.contextmanager
def relay_process(program: str = PLAIN, limit: int | None = None) -> Iterator[RelayProcess]:
    """Run a relay; whatever it says is a failure."""
    relay = RelayProcess(program, limit)
    try:
        yield relay
        if relay.process.returncode is None:
            assert relay.end() == ""
    finally:
        relay.forget()
        if relay.process.poll() is None:
            relay.process.send_signal(signal.SIGKILL)
        relay.process.communicate()


def connect(address: tuple[str, int] | str) -> socket.socket:
    """Return a connection that does not wait for ever."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    try:
        client.connect(address)
    except OSError:
        client.close()
        raise
    return client


def accept(server: socket.socket) -> socket.socket:
    """Return the next connection, that does not wait for ever either."""
    server.settimeout(TIMEOUT)
    served, _ = server.accept()
    served.settimeout(TIMEOUT)
    return served


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """Return everything until the end of the stream."""
    parts = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def pattern(size: int) -> bytes:
    """Return the first bytes of what `fill` writes."""
    return (_PATTERN * (size // len(_PATTERN) + 1))[:size]


def fill(connection: socket.socket) -> int:
    """Write until the other side takes no more for a while; return how many bytes it took."""
    connection.setblocking(False)
    total = 0
    while select.select([], [connection], [], 0.2)[
        1
    ]:  # the relay may still be moving: an end can only be told by quiet
        total += connection.send(_PATTERN[total % len(_PATTERN) :])
    connection.settimeout(TIMEOUT)
    return total
