"""What the relay costs: the same traffic direct and relayed, in turn, in one run; prints medians and ratios.

    python benchmarks/relay.py [--megabytes 1024] [--requests 5000] [--rounds 5] [--cluster NAME]

With `--cluster` it is the relay of that running sandbox, with iperf3, curl and kube-apiserver: see sandbox_relay.py.

Client, server and relay are processes of their own. On a machine with two processors three of them share two, which is
the worst case; the time of a processor that the relay spends for a gigabyte does not depend on that.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kubedoctor.cluster.channel import Channel
from kubedoctor.cluster.relay import run_relay

BLOCK = 1 << 20
WRITES = (64 << 10, BLOCK)  # bytes: what programs do, and what is hardest on the relay
Address = tuple[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cluster", help="measure the relay of this running sandbox instead")
    wanted = parser.parse_args()
    if wanted.cluster:
        from benchmarks import sandbox_relay

        sandbox_relay.measure(wanted.cluster, wanted.rounds, wanted.requests)
        return
    with server() as direct, relay(direct) as (relayed, pid):
        latencies: dict[Address, list[float]] = {direct: [], relayed: []}
        for write in WRITES:
            speeds: dict[Address, list[float]] = {direct: [], relayed: []}
            before = seconds_used(pid)
            for _ in range(wanted.rounds):
                for address in (direct, relayed):
                    speeds[address].append(bulk(address, wanted.megabytes, write))
            busy = (seconds_used(pid) - before) / wanted.rounds / wanted.megabytes / BLOCK * 1e9
            report_speed(write, speeds[direct], speeds[relayed], busy)
        for _ in range(wanted.rounds):
            for address in (direct, relayed):
                latencies[address] += requests(address, wanted.requests)
        report_latency("small request (1 KiB there and back)", latencies[direct], latencies[relayed])
        fresh = {address: connections(address, wanted.requests // 5) for address in (direct, relayed)}
        report_latency("connect, request, close", fresh[direct], fresh[relayed])
        with background_bulk(direct):
            beside = requests(direct, wanted.requests)
        with background_bulk(relayed):
            report_latency("small request beside a bulk transfer", beside, requests(relayed, wanted.requests))
        print(f"relay at rest: {memory(pid)}")


def report_speed(write: int, direct: list[float], relayed: list[float], busy: float) -> None:
    ratios = sorted(b / a for a, b in zip(direct, relayed, strict=True))
    print(
        f"bulk, {write >> 10} KiB a write, GB/s:",
        f"direct {statistics.median(direct):.2f} ({min(direct):.2f}-{max(direct):.2f}),",
        f"relayed {statistics.median(relayed):.2f} ({min(relayed):.2f}-{max(relayed):.2f}),",
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f});",
        f"the relay uses {busy:.2f} s of a processor for a GB",
    )


def report_latency(what: str, direct: list[float], relayed: list[float]) -> None:
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        a, b = percentile(direct, rank) * 1000, percentile(relayed, rank) * 1000
        print(f"{what}, {name}, ms: direct {a:.3f}, relayed {b:.3f}, more {b - a:+.3f}")


def percentile(values: list[float], rank: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * rank))]


def bulk(address: Address, megabytes: int, write: int) -> float:
    """Send so much, and return GB/s until the server has told that all of it arrived."""
    block = os.urandom(write)  # zeros would all be one page of the kernel's, which no real sender has
    with socket.create_connection(address) as connection:
        started = time.perf_counter()
        connection.sendall(b"B")
        for _ in range(megabytes * BLOCK // write):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        arrived = int(connection.recv(32))
        assert arrived == megabytes * BLOCK, f"{arrived} bytes arrived"
        return arrived / (time.perf_counter() - started) / 1e9


def requests(address: Address, count: int) -> list[float]:
    """Return the seconds of each of *count* requests over one connection."""
    seconds = []
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"E")
        for _ in range(count):
            started = time.perf_counter()
            exchange(connection)
            seconds.append(time.perf_counter() - started)
    return seconds


def connections(address: Address, count: int) -> list[float]:
    """Return the seconds of each of *count* requests that have a connection of their own."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        with socket.create_connection(address) as connection:
            connection.sendall(b"E")
            exchange(connection)
        seconds.append(time.perf_counter() - started)
    return seconds


def exchange(connection: socket.socket) -> None:
    connection.sendall(bytes(1024))
    missing = 1024
    while missing:
        missing -= len(connection.recv(missing))


@contextmanager
def child() -> Iterator[int]:
    """Fork; yield 0 in the child, which does not come back, and its pid here, where it is ended afterwards."""
    pid = os.fork()
    if pid == 0:
        try:
            yield 0
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@contextmanager
def server() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, child() as pid:
        if pid == 0:
            while True:
                connection, _ = listener.accept()
                if os.fork() == 0:
                    serve(connection)
                    os._exit(0)
                connection.close()
                while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) if children() else False:
                    pass
        yield listener.getsockname()


def children() -> bool:
    return bool(Path(f"/proc/self/task/{os.getpid()}/children").read_text())


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(BLOCK)
    total = 0
    if connection.recv(1) == b"B":
        while count := connection.recv_into(buffer):
            total += count
        connection.sendall(b"%d" % total)
    else:
        while count := connection.recv_into(buffer):
            connection.sendall(memoryview(buffer)[:count])


@contextmanager
def relay(target: Address) -> Iterator[tuple[Address, int]]:
    ours, theirs = socket.socketpair()
    with child() as pid:
        if pid == 0:
            run_relay(theirs)
        theirs.close()
        with Channel(ours) as channel, socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            channel.send({"relay": "add", "outside": "benchmark", "target": list(target)}, [listener.fileno()])
            yield listener.getsockname(), pid


@contextmanager
def background_bulk(address: Address) -> Iterator[None]:
    with child() as pid:
        if pid == 0:
            bulk(address, 1 << 30, BLOCK)
        yield


def seconds_used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> str:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return ", ".join(
        " ".join(line.split()) for line in rollup.splitlines() if line.startswith(("Rss", "Pss:", "Private_D"))
    )


if __name__ == "__main__":
    main()
