"""How long `kubedoctor up` takes beside the components alone, hand-ordered, on this machine in this run.

usage: benchmarks/up.py [--rounds N] [--bin-dir DIR] [--node]

Rounds alternate, since the machine's speed drifts; what is printed are medians, spreads and ratios. kwokctl and
envtest are measured too where `kwokctl` is on PATH; with --node, a node as `node.py` measures it. As root, since the
bare bring-up runs in namespaces of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "tests"))

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")

# `lo` is down in a fresh network namespace; the bare bring-up itself is run as it is.
WITH_LO = """
import runpy, socket, sys
sys.path.insert(0, sys.argv.pop(1))
from kubedoctor.cluster import network
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    network._bring_up(control, "lo")
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def bare(bin_dir: Path) -> float:
    """Return the seconds until the default ServiceAccount exists."""
    with tempfile.TemporaryDirectory(prefix="kubedoctor-bare-") as work:
        script = [str(HERE.parent), str(HERE / "bare_bringup.py"), str(bin_dir), work]
        argv = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", sys.executable, "-c", WITH_LO, *script]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
        return float(json.loads(done.stdout)["default serviceaccount"])


class Ours:
    """One cluster of `kubedoctor`, in a home of its own."""

    def __init__(self, bin_dir: Path) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="kubedoctor-bench-")
        self._env = {
            **os.environ,
            "KUBEDOCTOR_HOME": str(Path(self._directory.name) / "home"),
            "KUBEDOCTOR_BIN_DIR": str(bin_dir),
            "KUBEDOCTOR_DOWNLOAD": "off",
        }

    def run(self, *arguments: str) -> tuple[float, str]:
        """Return the seconds a command takes, from the start of its process to its end, and what it prints."""
        began = time.monotonic()
        argv = [sys.executable, "-m", "kubedoctor", *arguments]
        done = subprocess.run(argv, env=self._env, capture_output=True, text=True, check=False, timeout=180)
        seconds = time.monotonic() - began
        if done.returncode:
            raise SystemExit(f"kubedoctor {' '.join(arguments)} failed:\n{done.stderr}")
        return seconds, done.stdout

    def close(self) -> None:
        self.run("down", "--all")
        self._directory.cleanup()


def measure(bin_dir: Path, rounds: int) -> dict[str, list[float]]:
    """Return seconds (MiB for memory) by what was measured, one a round."""
    found: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        found.setdefault(what, []).append(round(value, 3))

    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        note("bare", bare(bin_dir))
        ours = Ours(bin_dir)
        try:
            note("up", ours.run("up", "--no-node", "--name", "bench")[0])
            note("status", min(ours.run("status", "--name", "bench")[0] for _ in range(3)))
            note("--help", min(ours.run("--help")[0] for _ in range(3)))
            state = json.loads(ours.run("status", "--name", "bench", "-o", "json")[1])
            note("PSS MiB", memory(state["places"][0]["keeper"]["pid"]))
            note("down", ours.run("down", "--name", "bench")[0])
        finally:
            ours.close()
        for what, peer in peers(bin_dir).items():
            note(what, peer())
    return found


def memory(keeper: int) -> float:
    """Return the PSS in MiB of keeper, supervisor and relays together: forks share the keeper's command line."""
    mine = Path(f"/proc/{keeper}/cmdline").read_bytes()
    total = 0
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if (directory / "cmdline").read_bytes() == mine:
                rollup = (directory / "smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


def peers(bin_dir: Path) -> Mapping[str, Callable[[], float]]:
    """Return how to measure the tools that are there to be compared with."""
    kwokctl, controller = shutil.which("kwokctl"), shutil.which("kwok")
    if kwokctl is None or controller is None:
        return {}

    def kwok() -> float:
        """Return the seconds until kwokctl says ready, which it does without waiting for a ServiceAccount."""
        components = [f"--{name}-binary={bin_dir / name}" for name in NAMES if name != "kubectl"]
        create = ["create", "cluster", "--runtime=binary", "--wait=60s", f"--kwok-controller-binary={controller}"]
        with tempfile.TemporaryDirectory(prefix="kubedoctor-kwok-") as work:
            env = {**os.environ, "KUBECONFIG": f"{work}/kubeconfig", "KWOK_WORKDIR": work}
            began = time.monotonic()
            try:
                subprocess.run(
                    [kwokctl, *create, *components, "--name=bench"], env=env, check=True, capture_output=True
                )
                return time.monotonic() - began
            finally:
                subprocess.run([kwokctl, "delete", "cluster", "--name=bench"], env=env, check=True, capture_output=True)

    return {"kwokctl": kwok}


def supervisor_alone(components: int) -> float:
    """Return the seconds from the keeper's start until *components* programs that do nothing are all ready."""
    from support.places import kept, plan_of

    from kubedoctor.cluster.documents import PlannedComponent, PlannedProbe
    from kubedoctor.cluster.paths import PlacePaths

    with tempfile.TemporaryDirectory(prefix="kubedoctor-fakes-") as work:
        place = PlacePaths(Path(work) / "place")
        for directory in (place.directory, place.config, place.logs, place.data):
            directory.mkdir(mode=0o700)
        sleep = shutil.which("sleep") or "/bin/sleep"
        plan = plan_of(
            place,
            *(
                PlannedComponent(
                    name=f"fake-{number}",
                    kind="extra",
                    binary=sleep,
                    version="",
                    argv=(sleep, "1000"),
                    log=str(place.logs / f"fake-{number}.log"),
                    ready=(PlannedProbe(kind="process"),),
                )
                for number in range(components)
            ),
        )
        with kept(place, plan) as run:
            return run.until_event("ready").elapsed


def chosen_bin_dir() -> Path:
    """Return a directory with the product's own binaries, fetched or built if need be."""
    directory = Path(tempfile.mkdtemp(prefix="kubedoctor-bin-"))
    argv = [sys.executable, "-m", "kubedoctor", "binaries", "get", *NAMES, "-o", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    for entry in json.loads(done.stdout)["binaries"]:
        (directory / entry["name"]).symlink_to(entry["path"])
    return directory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bin-dir", type=Path)
    parser.add_argument("--node", action="store_true")
    options = parser.parse_args()
    found = measure(options.bin_dir or chosen_bin_dir(), options.rounds)
    for count in (1, 50):
        found[f"{count} fakes"] = [round(supervisor_alone(count), 3) for _ in range(3)]
    print(f"{'':<12} {'median':>8} {'least':>8} {'most':>8}")
    for what, values in found.items():
        print(f"{what:<12} {statistics.median(values):>8.3f} {min(values):>8.3f} {max(values):>8.3f}")
    ratios = [ours / theirs for ours, theirs in zip(found["up"], found["bare"], strict=True)]
    print(
        f"\nup / bare: {statistics.median(found['up']) / statistics.median(found['bare']):.2f} by medians, "
        f"{min(ratios):.2f} to {max(ratios):.2f} by round"
    )
    if options.node:
        print(flush=True)
        subprocess.run([sys.executable, HERE / "node.py", "--rounds", str(options.rounds)], check=True)


main()
