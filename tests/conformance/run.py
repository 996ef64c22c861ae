"""Kubernetes' own tests against a cluster of kubedoctor's, with images made here.

usage: tests/conformance/run.py [--focus RE] [--skip RE] [--procs N] [-- options of `kubedoctor up`]

The first time the tests are compiled: a quarter of an hour on two cores, 5 GB of Go's caches. Debian's packages are
asked for the programs that Alpine's have in the real images (see images.py). The report and all that the tests say stay
in --output. Exit status 1: a test failed that lacked neither its image nor a second node.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE.parent)]

from conformance import images, outcome, programs, registry  # noqa: E402 - found by the line above

from kubedoctor.cluster.paths import cache  # noqa: E402
from kubedoctor.errors import KubedoctorError  # noqa: E402

NAME = "conformance"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with a home of its own, so that no other one is touched."""

    home: Path

    def run(self, *arguments: str) -> str:
        """Run `kubedoctor`; return what it prints."""
        argv = [sys.executable, "-m", "kubedoctor", *arguments]
        env = {**os.environ, "KUBEDOCTOR_HOME": str(self.home)}
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise KubedoctorError(f"kubedoctor {' '.join(arguments)} failed")
        return done.stdout


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def tested(cluster: Cluster, made: programs.Programs, kubectl: Path, output: Path, options: argparse.Namespace) -> Path:
    """Run the tests; return the path of ginkgo's report."""
    kubeconfig = cluster.home / "clusters" / NAME / "kubeconfig" / "admin"
    chosen = [f"--focus={options.focus}", *([f"--skip={options.skip}"] if options.skip else [])]
    argv: list[str | Path] = [made["ginkgo"], "run", f"--procs={options.procs}", "--timeout=6h", "--no-color", *chosen]
    argv += ["--json-report=report.json", f"--output-dir={output}", made["e2e.test"], "--"]
    argv += [f"--kubeconfig={kubeconfig}", "--provider=skeleton", f"--kubectl-path={kubectl}", "--num-nodes=1"]
    argv += ["--disable-log-dump"]
    tell(f"testing; what the tests say: {output / 'e2e.log'}")
    with (output / "e2e.log").open("w") as log:
        subprocess.run(argv, stdout=log, stderr=subprocess.STDOUT, cwd=output, check=False)
    return output / "report.json"


def main(argv: Sequence[str]) -> int:
    """Return 0 when no test failed that has its image and no need of a second node."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--focus", default=r"\[Conformance\]", help="regular expression of names [all of conformance]")
    parser.add_argument("--skip", default="", help="regular expression of names that are left out")
    parser.add_argument("--procs", type=int, default=2, help="tests at the same time, but for serial ones [2]")
    parser.add_argument("--cache", type=Path, default=cache().with_name("kubedoctor-e2e"))
    parser.add_argument("--output", type=Path, help="directory for report and log [below --cache]")
    parser.add_argument("up", nargs="*", help="options of `kubedoctor up`, after --")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with the cluster brought down

    with TemporaryDirectory(prefix="home-", dir=_made(options.cache), ignore_cleanup_errors=True) as home:
        cluster = Cluster(Path(home))
        ours = {
            binary["name"]: binary
            for binary in json.loads(cluster.run("binaries", "get", "kubelet", "kubectl", "etcd", "-o", "json"))[
                "binaries"
            ]
        }
        version = str(ours["kubelet"]["version"])
        made = programs.built(options.cache, version, tell)
        listed = subprocess.run([made["e2e.test"], "--list-images"], check=True, capture_output=True, text=True)
        archive = options.cache / version / "images.tar"
        missing = images.archived(archive, listed.stdout.split(), made, Path(ours["etcd"]["path"]))
        output = _made((options.output or options.cache / version / "last").resolve())
        with registry.registry(archive) as url:
            try:
                mirror = ["--registry-mirror", f"*={url}"]
                cluster.run("up", "--name", NAME, "--node", "--image-archive", str(archive), *mirror, *options.up)
                report = tested(cluster, made, Path(ours["kubectl"]["path"]), output, options)
            finally:
                cluster.run("down", "--name", NAME, "--delete")
    found = outcome.outcomes(report, missing)
    sys.stdout.write(outcome.table(found) + "\n")
    return int(not found or any(one.state == "failed" for one in found))


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KubedoctorError as problem:
        sys.exit(f"{problem.message}\n{problem.hint}".strip())
