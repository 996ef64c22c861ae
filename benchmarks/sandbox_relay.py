"""What the relay of a real sandbox costs, as tools see it that nobody here wrote, and kube-apiserver.

    kubedoctor up --name bench
    python benchmarks/relay.py --cluster bench [--rounds 5]

Direct is a client inside the sandbox, relayed the same client outside; the servers are inside, and the rounds
alternate. iperf3 (its default is 128 KiB a write) and curl are used where they are on PATH: iperf3 sends 1 GiB, curl
gets 1 GiB from Python's HTTP server. Small requests are GET /readyz of kube-apiserver over one TLS connection.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

KUBEDOCTOR = (sys.executable, "-m", "kubedoctor")
PORT = 5201  # inside, where nobody else is
WRITES = ("128K", "64K", "1M")
GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class Sandbox:
    """A running cluster, by its name."""

    cluster: str

    def kubedoctor(self, *words: str) -> str:
        argv = [*KUBEDOCTOR, words[0], "--name", self.cluster, *words[1:]]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

    def enter(self, *command: str) -> tuple[str, ...]:
        return (*KUBEDOCTOR, "enter", "--name", self.cluster, *command)

    @cached_property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubedoctor("status", "-o", "json"))
        return found

    @contextmanager
    def serving(self, *command: str) -> Iterator[int]:
        """Run a server on PORT inside, and yield its port outside."""
        process = subprocess.Popen(self.enter(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_listener(process, int(self.status["places"][0]["supervisor"]["pid"]))
            port = self.kubedoctor("publish", str(PORT)).strip().rpartition(":")[2]
            try:
                yield int(port)
            finally:
                self.kubedoctor("unpublish", port)
        finally:
            process.terminate()
            process.wait()


def wait_for_listener(process: subprocess.Popen[bytes], pid: int) -> None:
    """Wait until somebody listens on PORT in the network of *pid*; asking the port itself would upset iperf3."""
    while process.poll() is None:
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(f":{PORT:04X}") and fields[3] == "0A":
                    return
        time.sleep(0.05)
    raise SystemExit(f"the server inside ended with {process.returncode}")


def measure(cluster: str, rounds: int, requests: int) -> None:
    """Print all there is to know about the relay of *cluster*."""
    sandbox = Sandbox(cluster)
    if iperf3 := shutil.which("iperf3"):
        measure_iperf3(sandbox, iperf3, rounds)
    if curl := shutil.which("curl"):
        measure_curl(sandbox, curl, rounds)
    measure_readyz(sandbox, rounds, requests)


def measure_iperf3(sandbox: Sandbox, iperf3: str, rounds: int) -> None:
    with sandbox.serving(iperf3, "-s", "-p", str(PORT)) as outside:
        for write in WRITES:

            def speed(port: int, *prefix: str, write: str = write) -> float:
                argv = [*prefix, iperf3, "-c", "127.0.0.1", "-p", str(port), "-n", "1G", "-l", write, "-J"]
                end = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)["end"]
                return float(end["sum_received"]["bits_per_second"]) / 8e9

            pairs = [(speed(PORT, *sandbox.enter()), speed(outside)) for _ in range(rounds)]
            report_speed(f"iperf3, {write} a write", pairs)


def measure_curl(sandbox: Sandbox, curl: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with (Path(directory) / "gibibyte").open("wb") as file:
            file.truncate(GIBIBYTE)
        server = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", directory, str(PORT))
        with sandbox.serving(*server) as outside:

            def speed(port: int, *prefix: str) -> float:
                url = f"http://127.0.0.1:{port}/gibibyte"
                argv = [*prefix, curl, "-sS", "-o", "/dev/null", "-w", "%{size_download} %{speed_download}", url]
                size, found = subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout.split()
                assert int(size) == GIBIBYTE, f"{int(size)} bytes arrived"
                return float(found) / 1e9

            report_speed("curl, HTTP", [(speed(PORT, *sandbox.enter()), speed(outside)) for _ in range(rounds)])


def measure_readyz(sandbox: Sandbox, rounds: int, requests: int) -> None:
    ports = next(one["ports"] for one in sandbox.status["components"] if one["name"] == "kube-apiserver")
    (port,) = [one for one in ports if one["outside"]]
    pki = Path(sandbox.status["kubeconfig"]).parents[1] / "pki"
    client = (sys.executable, __file__, "--pki", str(pki), "--port")
    direct: list[float] = []
    relayed: list[float] = []
    with (
        asking(*sandbox.enter(*client, str(port["inside"]))) as inside,
        asking(*client, str(port["outside"])) as outside,
    ):
        # Every second request is direct: kube-apiserver's own p99 differs from one second to the next by more than
        # the relay adds.
        for _ in range(requests * rounds):
            direct.append(inside())
            relayed.append(outside())
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        a, b = (sorted(values)[int(len(values) * rank)] * 1000 for values in (direct, relayed))
        print(
            f"GET /readyz over TLS, {len(direct)} each, {name}, ms: direct {a:.3f}, relayed {b:.3f}, more {b - a:+.3f}"
        )


@contextmanager
def asking(*argv: str) -> Iterator[Callable[[], float]]:
    """Start a client of kube-apiserver; yield what makes it ask once and returns the seconds that took."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        tell, hear = process.stdin, process.stdout

        def ask() -> float:
            tell.write("\n")
            tell.flush()
            return float(hear.readline())

        for _ in range(10):  # the first ones make connection and session
            ask()
        yield ask
        tell.close()


def client(pki: Path, port: int) -> None:
    """For each line that comes ask once, over one connection, and print the seconds it took."""
    context = ssl.create_default_context(cafile=str(pki / "server-ca.crt"))
    context.load_cert_chain(pki / "client-admin.crt", pki / "client-admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in sys.stdin:
        started = time.perf_counter()
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok")
        print(time.perf_counter() - started, flush=True)


def report_speed(what: str, pairs: list[tuple[float, float]]) -> None:
    direct, relayed = zip(*pairs, strict=True)
    ratios = [b / a for a, b in pairs]
    print(
        f"{what}, GB/s:",
        f"direct {statistics.median(direct):.2f} ({min(direct):.2f}-{max(direct):.2f}),",
        f"relayed {statistics.median(relayed):.2f} ({min(relayed):.2f}-{max(relayed):.2f}),",
        f"ratio of the medians {statistics.median(relayed) / statistics.median(direct):.2f},",
        f"of each pair {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        flush=True,
    )


def main() -> None:
    """Be the client of kube-apiserver: `measure` runs this file inside and outside."""
    parser = argparse.ArgumentParser(description="a client that asks when told to; see relay.py --cluster")
    parser.add_argument("--pki", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    wanted = parser.parse_args()
    client(wanted.pki, wanted.port)


if __name__ == "__main__":
    main()
