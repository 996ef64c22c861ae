"""How long `kubedoctor up` takes to a node and to DNS, beside the bare components up to the same, in this run.

usage: benchmarks/node.py [--rounds N]

The bare components run in a sandbox of ours in which nothing but containerd runs, with its images loaded, which the
yardstick wants to be there already: so it does not pay for that, and kubedoctor does. It knows nothing of DNS: that is
applied and asked for beside it. It waits 40 s in vain for its pod, which has no image. Rounds alternate. As root, with
the product's own binaries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
GROUP = "kubedoctor-bench-bare"


def started(*arguments: str, home: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "kubedoctor", *arguments]
    environment = {**os.environ, "KUBEDOCTOR_HOME": str(home), "KUBEDOCTOR_DOWNLOAD": "off"}
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments: str, home: Path) -> str:
    with started(*arguments, home=home) as process:
        told, problems = process.communicate(timeout=240)
    if process.returncode:
        raise SystemExit(f"kubedoctor {' '.join(arguments)} failed:\n{problems}")
    return told


def binaries(home: Path) -> dict[str, str]:
    told = json.loads(run("binaries", "get", *NAMES, "-o", "json", home=home))
    return {entry["name"]: entry["path"] for entry in told["binaries"]}


def prepare(directory: Path, found: dict[str, str]) -> Path:
    """Return a directory with the programs; the kubelet is told where its pods' cgroups go, which bare it is not."""
    bin_dir = directory / "bin"
    bin_dir.mkdir()
    for name in NAMES:
        if name != "kubelet":
            (bin_dir / name).symlink_to(found[name])
    kubelet = bin_dir / "kubelet"
    kubelet.write_text(f'#!/bin/sh\nexec {found["kubelet"]} --cgroup-root=/{GROUP} "$@"\n')
    kubelet.chmod(0o755)
    return bin_dir


@contextmanager
def cgroups() -> Iterator[None]:
    """Make a group in every hierarchy; remove it with what the kubelet made below."""
    from kubedoctor.cluster.cgroups import make, node_directories, remove

    made = node_directories(GROUP)
    try:
        make(made)
        yield
    finally:
        remove(made)


def bare(directory: Path, bin_dir: Path, plan: Path) -> dict[str, float]:
    """Return the yardstick's milestones in seconds, and when the DNS of *plan* answered there."""
    home = directory / "bare"
    try:
        run("up", "--only", "containerd", "--only", "images", "--name", "bare", home=home)
        with tempfile.TemporaryDirectory(dir=directory) as work, cgroups():
            beside = (sys.executable, str(HERE / "bare_dns.py"), work, str(plan))
            with started("enter", "--name", "bare", *beside, home=home) as dns:
                script = str(HERE / "bare_bringup.py")
                told = run("enter", "--name", "bare", sys.executable, script, str(bin_dir), work, "--node", home=home)
                answered, _ = dns.communicate(timeout=60)
            run("down", "--name", "bare", "--delete", home=home)  # ends the pods' shims too
        milestones: dict[str, float] = json.loads(told)
        return {**milestones, "DNS": float(answered)}
    finally:
        run("down", "--all", "--delete", home=home)


def ours(directory: Path) -> dict[str, float]:
    """Return seconds from the start of the command: node Ready, everything ready; and those of `down`."""
    home = directory / "ours"
    started, began = time.time(), time.monotonic()
    run("up", "--node", "--name", "bench", home=home)
    found = {"up with DNS": time.monotonic() - began}
    events = (home / "clusters/bench/places/node-1/events.jsonl").read_text().splitlines()
    ready = next(e for e in map(json.loads, events) if (e.get("component"), e.get("state")) == ("kubelet", "ready"))
    found["up to node Ready"] = datetime.fromisoformat(ready["time"]).timestamp() - started
    began = time.monotonic()
    run("down", "--name", "bench", home=home)
    found["down"] = time.monotonic() - began
    run("down", "--all", "--delete", home=home)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="kubedoctor-node-") as temporary:
        directory = Path(temporary)
        programs = binaries(directory / "bare")
        bin_dir = prepare(directory, programs)
        plan = directory / "plan.json"
        plan.write_text(run("up", "--node", "--dry-run", "-o", "json", home=directory / "ours"))
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}; load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            milestones = bare(directory, bin_dir, plan)
            found.setdefault("bare node Ready", []).append(milestones["node ready"])
            found.setdefault("bare with DNS", []).append(milestones["DNS"])
            for name, seconds in ours(directory).items():
                found.setdefault(name, []).append(seconds)
    print(f"{'seconds':<18} {'median':>8} {'least':>8} {'most':>8}")
    for what, values in found.items():
        print(f"{what:<18} {statistics.median(values):>8.2f} {min(values):>8.2f} {max(values):>8.2f}")
    for mine, theirs in (("up to node Ready", "bare node Ready"), ("up with DNS", "bare with DNS")):
        ratios = [one / other for one, other in zip(found[mine], found[theirs], strict=True)]
        print(f"{mine} / {theirs}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


main()
