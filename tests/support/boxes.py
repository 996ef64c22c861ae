"""A machine of a test's own: processes, network, mounts and names that are its alone, with real files below /etc.

What is started in it ends with it, and nobody else's clusters are to be seen there. Root only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from support.command import Kubedoctor
from support.faults import Seen

ADDRESS = "198.18.9.1"
"""The address of its one interface, for benchmarks by RFC 2544: nobody's."""

_HOLDER = """
import os, pathlib, signal, subprocess, sys
def run(*words):
    subprocess.run(words, check=True)
run("mount", "--make-rprivate", "/")
address, base = sys.argv[1:]
run("mount", "-t", "tmpfs", "-o", "mode=0755", "box", base)
for name in ("etc", "opt", "var/lib"):  # to be written to, and nothing of it stays
    upper, work = (f"{base}/{name}/{part}" for part in ("upper", "work"))
    for path in (upper, work):
        os.makedirs(path)
    run("mount", "-t", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", "box", f"/{name}")
run("mount", "-t", "tmpfs", "-o", "mode=0755", "box", "/run")
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "cable")
run("ip", "link", "set", "cable", "up")
run("ip", "address", "add", f"{address}/24", "dev", "eth0")
run("ip", "link", "set", "eth0", "up")
run("ip", "route", "add", "default", "via", address.rpartition(".")[0] + ".254")
run("hostname", "box")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children without parents are nobody's to wait for
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass
class Box:
    """A machine that lives as long as process *pid*, the first one in it. `directory` is seen inside and outside."""

    pid: int
    directory: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words that run a command in it."""
        return ("nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--")

    def run(self, *argv: object, stdin: str = "", check: bool = True) -> str:
        """Run a command in it, and return what it printed."""
        words = [*self.prefix, *map(str, argv)]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def start(
        self, *argv: object, env: Mapping[str, str] | None = None, log: Path | None = None, before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start a program in it; *before* are words that start it. What it says goes to *log*."""
        with contextlib.ExitStack() as stack:
            output: IO[str] | int = stack.enter_context(log.open("w")) if log else subprocess.DEVNULL
            process = subprocess.Popen(
                [*self.prefix, *before, *map(str, argv)],
                env={"PATH": os.environ["PATH"], **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        self.started.append(process)
        return process

    def python(self, code: str, *arguments: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Run Python code in it, which has to print `ready` and then to stay."""
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-c", code, *map(str, arguments)],
            env={"PATH": os.environ["PATH"], **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the program in the box ended before it was ready"
        return process

    def path(self, inside: str) -> Path:
        """Return where a file of it is seen from outside."""
        inside = inside.replace("/var/run/", "/run/", 1)  # an absolute symlink would lead out of it
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, content: str | bytes, mode: int = 0o600) -> str:
        """Write a file in it, and return its path there."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return inside

    def processes(self) -> dict[int, list[str]]:
        """Return the command lines of what runs in it, by the pids that it knows them by."""
        found = {}
        for directory in self.path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[int(directory.name)] = words
        return found

    def command(self, bin_dir: Path, **env: str) -> Kubedoctor:
        """Return `kubedoctor` in it, with a home of its own."""
        home = {"HOME": str(self.directory / "person"), "PYTHONPATH": os.pathsep.join(map(str, _packages()))}
        return Kubedoctor(
            home=self.directory / "home", bin_dir=bin_dir, prefix=(*self.prefix, sys.executable), env={**home, **env}
        )


def _packages() -> list[Path]:
    root = Path(__file__).resolve().parents[2]
    return [root, root / "plugins"]


@contextlib.contextmanager
def box(directory: Path, address: str = ADDRESS) -> Iterator[Box]:
    """Yield a machine on which nothing runs; all that was started in it has ended at the end."""
    base = directory / "box"
    base.mkdir()
    (directory / "person").mkdir()
    namespaces = ("--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--mount", "--uts", "--ipc")
    words = ["unshare", *namespaces, sys.executable, "-c", _HOLDER, address, str(base)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        started: list[subprocess.Popen[str]] = []
        try:
            assert holder.stdout.readline() == "ready\n", "no machine could be made"
            (first,) = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
            yield Box(int(first), directory, started)
        finally:
            holder.kill()
            holder.wait(10)
            for process in started:
                process.kill()
                process.wait(10)
                if process.stdout is not None:
                    process.stdout.close()


def checked(cli: Kubedoctor, *arguments: str, cluster: str = "", env: Mapping[str, str] | None = None) -> Seen:
    """Run `kubedoctor check`, and return what it says of the machine and of one cluster."""
    done = cli("check", *arguments, "-o", "json", env=env)
    assert done.status in (0, 1, 4), f"{done.status}\n{done.out}\n{done.err}"
    return Seen(done.status, done.json, cluster)


def alarms(report: Mapping[str, Any]) -> list[str]:
    """Return what a report finds wrong on any target, informations left out."""
    return [
        f"{result['target']}: {result['check']}: {finding['severity']}: {finding['message']}"
        for result in report["results"]
        for finding in result["findings"]
        if finding["severity"] != "info"
    ]
