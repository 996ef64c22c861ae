"""How long many pods on one node take, and how long clusters with nodes that start side by side.

usage: benchmarks/pods.py [--pods N] [--clusters N]

Every pod has to have an address of its own and a readiness probe that passed, and has to have answered through the one
Service of all. As root, with the binaries that `kubedoctor up` uses.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from support.clusters import free_port  # noqa: E402 - found by that path
from support.command import Kubedoctor  # noqa: E402 - found by that path
from support.images import probe_archive  # noqa: E402 - found by that path
from support.workloads import container, service, workload  # noqa: E402 - found by that path

PATIENCE = 300
"""Seconds for anything; a pod takes some 50 ms of two processors."""
NODE_PORT = 30080
PROBE = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
MOST_QUESTIONS = 100
"""How often a pod is asked at most, on average: kube-proxy chooses by chance, and some 5 suffice for 100 pods."""


@dataclass(frozen=True)
class Cluster:
    """A cluster with a node, whose Service answers at `port`."""

    cli: Kubedoctor
    name: str
    archive: Path
    port: int

    @property
    def up(self) -> tuple[str, ...]:
        """The words that bring it up."""
        options = ("--image-archive", str(self.archive), "--publish", f"{self.port}:{NODE_PORT}")
        return ("up", "--node", "--name", self.name, *options)

    def kubectl(self, *arguments: str, stdin: object = None) -> str:
        """Return what kubectl prints; it has to go well."""
        words = ("kubectl", "--name", self.name, *arguments)
        done = self.cli(*words, stdin="" if stdin is None else json.dumps(stdin), timeout=PATIENCE + 10)
        if done.status:
            raise SystemExit(f"{' '.join(words)}: {done.err}")
        return done.out

    def run_pods(self, count: int) -> None:
        """Ask for pods, and return when all are ready."""
        web = service("web", [{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}], type="NodePort")
        pods = workload("Deployment", "web", {"replicas": count}, container("serve", ":8080", readinessProbe=PROBE))
        self.kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": [web, pods]})
        ready = f"--for=jsonpath={{.status.readyReplicas}}={count}"
        self.kubectl("wait", ready, "deployment/web", f"--timeout={PATIENCE}s")

    def addresses(self) -> set[str]:
        return set(self.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}").split())

    def answering(self, count: int) -> set[str]:
        """Return the names of the pods that answered through the Service: all, unless some never do."""
        names: set[str] = set()
        for _ in range(count * MOST_QUESTIONS):
            names.add(self._answer())
            if len(names) == count:
                break
        return names

    def _answer(self) -> str:
        """Return what the Service answers; kube-proxy learns of ready pods a moment after the API does."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=10) as answer:
                    return str(answer.read().decode().strip())
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextlib.contextmanager
def clusters(count: int) -> Iterator[list[Cluster]]:
    """Yield clusters that do not run yet; at the end everything is stopped and removed."""
    with tempfile.TemporaryDirectory(prefix="kubedoctor-bench-") as work:
        archive = probe_archive(Path(work))
        cli = Kubedoctor(home=Path(work) / "home", bin_dir=Path(work), env={"KUBEDOCTOR_BIN_DIR": ""})
        try:
            yield [Cluster(cli, f"bench-{number + 1}", archive, free_port()) for number in range(count)]
        finally:
            cli("down", "--all", "--delete")


def seconds_since(began: float) -> str:
    return f"{time.monotonic() - began:6.1f} s"


def available() -> int:
    """Return the memory that is free for programs, in MiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) >> 10


def many_pods(count: int) -> None:
    with clusters(1) as [cluster]:
        began = time.monotonic()
        cluster.cli.ok(*cluster.up)
        print(f"{seconds_since(began)}  up, with DNS")
        free = available()
        began = time.monotonic()
        cluster.run_pods(count)
        print(f"{seconds_since(began)}  {count} pods ready, {free - available()} MiB of memory more")
        if len(addresses := cluster.addresses()) != count:
            raise SystemExit(f"{count} pods have {len(addresses)} addresses")
        began = time.monotonic()
        if len(names := cluster.answering(count)) != count:
            raise SystemExit(f"only {len(names)} of {count} pods answered through the Service")
        print(f"{seconds_since(began)}  until each had answered through the Service")
        began = time.monotonic()
        cluster.cli.ok("down", "--name", cluster.name)
        print(f"{seconds_since(began)}  down")


def side_by_side(count: int) -> None:
    with clusters(count) as all_of_them:
        free, began = available(), time.monotonic()
        for cluster, up in [(one, one.cli.popen(*one.up)) for one in all_of_them]:
            _, said = up.communicate(timeout=PATIENCE)
            if up.returncode:
                raise SystemExit(f"{cluster.name}: {said}")
        print(f"{seconds_since(began)}  {count} clusters with nodes up at once, {free - available()} MiB of memory")
        for cluster in all_of_them:
            cluster.run_pods(1)
        if len({name for cluster in all_of_them for name in cluster.answering(1)}) != count:
            raise SystemExit("a cluster answered for another one")
        print(f"{seconds_since(began)}  each has answered by a pod of its own")
        began = time.monotonic()
        all_of_them[0].cli.ok("down", "--all")
        print(f"{seconds_since(began)}  down, all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--clusters", type=int, default=3)
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("run it as root")
    if options.pods:
        many_pods(options.pods)
    if options.clusters:
        side_by_side(options.clusters)


if __name__ == "__main__":
    main()
