"""A machine for tests that run on "the host": a network and mounts of its own, a containerd that is not ours.

What is in it is gone with the process that holds it; nothing of the real machine is written to but cgroups.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.clusters import eventually
from support.command import Kubedoctor
from support.images import PROBE

from kubedoctor.config import ClusterConfig

TESTS = Path(__file__).parents[1]
SOCKET = "/run/containerd/containerd.sock"
OWN = ("/run", "/opt", "/etc/cni", "/var/log", "/var/lib", "/usr/libexec", "/dev/shm")
"""Directories that are the machine's own, and empty at first."""

HOLDER = """
import pathlib, sys
sys.path[:0] = [{root!r}]
from kubedoctor.cluster import kernel, network, sandbox
sandbox._make_mounts_private()
network.set_up("198.18.9.1")
pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
sandbox._mount_sys()
for directory in {directories!r}:
    if pathlib.Path(directory).is_dir():
        kernel.mount("own", directory, "tmpfs", kernel.MS_NODEV, "mode=0755")
own = pathlib.Path({own!r})
for name in sandbox.SHARED_SETTINGS:
    setting = pathlib.Path("/proc/sys", name)
    if setting.exists():
        file = own / name.replace("/", ".")
        file.write_bytes(setting.read_bytes())
        kernel.mount(str(file), str(setting), flags=kernel.MS_BIND)
sandbox._share_mounts()
pathlib.Path("/run/mount").mkdir()  # of libmount, which every machine has
print("ready", flush=True)
sys.stdin.read()
"""

LOOK = """
import json, sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from support.machine import everything
print(json.dumps({{kind: sorted(items) for kind, items in everything(Path({home!r})).items()}}))
"""


POD = """
import sys
sys.path[:0] = [{root!r}]
from kubedoctor.host.grpc import grpc_call

def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data

def ask(method, request):
    reply = grpc_call({socket!r}, "/runtime.v1.RuntimeService/" + method, request, deadline=20)
    assert reply.code == 0, reply.message
    return reply.body

if sys.argv[1] == "run":
    metadata = field(1, b"web") + field(2, b"uid-1") + field(3, b"theirs")
    in_the_hosts_network = field(2, field(1, bytes([1 << 3, 2])))
    told = ask("RunPodSandbox", field(1, field(1, metadata) + field(8, in_the_hosts_network)))
    print(told[2:].decode())
else:
    ask("StopPodSandbox", field(1, sys.argv[2].encode()))
    ask("RemovePodSandbox", field(1, sys.argv[2].encode()))
"""
OTHERS_CGROUP = "/kubedoctor-test-others"


def own_cgroup(home: Path) -> str:
    """Return the cgroup of the default cluster of a home: others' clusters run beside it."""
    return ClusterConfig(directory=home / "clusters" / "local").node_cgroup


@dataclass(frozen=True)
class Host:
    """The machine of a test: `pid` holds its namespaces."""

    pid: int
    directory: Path  # what its containers have their files in is below
    binaries: Mapping[str, Path]

    @property
    def prefix(self) -> list[str]:
        """What runs a program in it."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--ipc", "--uts"]

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a program in it and return what it printed; it has to go well."""
        done = subprocess.run([*self.prefix, *argv], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def ctr(self, *arguments: str) -> str:
        """Run `ctr` in it."""
        return self.run(str(self.binaries["ctr"]), "--address", SOCKET, *arguments)

    def command(self, cli: Kubedoctor) -> Kubedoctor:
        """Return `kubedoctor` as it is run in it."""
        return Kubedoctor(home=cli.home, bin_dir=cli.bin_dir, prefix=(*self.prefix, sys.executable), env=cli.env)

    def everything(self, home: Path) -> dict[str, frozenset[str]]:
        """Return all of it that may not change by a cluster coming and going."""
        told = json.loads(self.run(sys.executable, "-c", LOOK.format(tests=str(TESTS), home=str(home))))
        found = {kind: frozenset(items) for kind, items in told.items()}
        found["programs"] = frozenset(f"{pid} {name}" for pid, name in self.programs())
        found["cgroups"] = frozenset(path for path in found["cgroups"] if path.endswith(own_cgroup(home)))
        found["files"] = frozenset(path for path in found["files"] if not path.startswith("/tmp/"))  # others' too
        found["below"] = frozenset(
            self.run("find", *OWN, "-path", "/run/containerd", "-prune", "-o", "-print").splitlines()
        )
        return found

    def programs(self) -> list[tuple[int, str]]:
        """Return pid and name of the processes in it, those in its containers too."""
        mine = Path(f"/proc/{self.pid}/ns/mnt").stat()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                is_here = os.path.samestat((entry / "ns/mnt").stat(), mine) or self._is_contained(entry)
                if int(entry.name) not in (self.pid, os.getpid()) and state != "Z" and is_here:
                    found.append((int(entry.name), (entry / "comm").read_text().strip()))
        return found

    def _is_contained(self, process: Path) -> bool:
        """Return whether the root of a process is an overlay of ours."""
        root = (process / "mountinfo").read_text().partition("\n")[0]
        return f"lowerdir={self.directory}/" in root or f":{self.directory}/" in root

    @contextlib.contextmanager
    def pod_of_others(self) -> Iterator[None]:
        """Run the pod `theirs/web` in its containerd, as `crictl runp` does."""
        code = POD.format(root=str(TESTS.parent), socket=SOCKET)
        pod = self.run(sys.executable, "-c", code, "run")
        try:
            yield
        finally:
            self.run(sys.executable, "-c", code, "remove", pod.strip())
            for directory in Path("/sys/fs/cgroup").glob("*/k8s.io"):  # where pods without a kubelet's wish are
                with contextlib.suppress(OSError):
                    directory.rmdir()

    @contextlib.contextmanager
    def container_of_others(self) -> Iterator[None]:
        """Run the container `theirs` of the probe, which is no pod, in a namespace of its containerd of its own."""
        name = ("--namespace", "others")
        runc = ("--runc-binary", str(self.binaries["runc"]))
        self.ctr(*name, "run", "--detach", *runc, "--cgroup", OTHERS_CGROUP, PROBE.name, "theirs", PROBE.path, "wait")
        try:
            yield
            assert "RUNNING" in self.ctr(*name, "tasks", "list")
        finally:
            self.ctr(*name, "tasks", "delete", "--force", "theirs")

    @contextlib.contextmanager
    def containerd(self) -> Iterator[None]:
        """Run a containerd in it, as an administrator would: at the usual socket, with the usual directories."""
        from kubedoctor_runtime.component import containerd

        directory = self.directory / "containerd"
        component = containerd(ClusterConfig(directory=directory))
        config = ClusterConfig(directory=directory)
        for file in component.files:
            path = Path(config.file(file.name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content)
        for link, name in component.links.items():
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            Path(link).symlink_to(self.binaries[name])
        argv = [str(self.binaries["containerd"]), f"--config={config.file(component.files[0].name)}"]
        version = [*self.prefix, str(self.binaries["ctr"]), "--address", SOCKET, "version"]
        with (
            (directory / "containerd.log").open("wb") as log,
            subprocess.Popen([*self.prefix, *argv], stdout=log, stderr=log, start_new_session=True) as process,
        ):
            try:
                assert eventually(lambda: subprocess.run(version, capture_output=True, check=False).returncode == 0)
                yield
            finally:
                process.kill()


@contextlib.contextmanager
def machine(directory: Path, binaries: Mapping[str, Path]) -> Iterator[Host]:
    """Yield a machine; at the end every process in it is ended."""
    own = directory / "settings"
    own.mkdir(parents=True)
    code = HOLDER.format(root=str(TESTS.parent), own=str(own), directories=OWN)
    argv: Sequence[str] = ("unshare", "--net", "--mount", "--ipc", "--uts", sys.executable, "-c", code)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "ready\n"
        host = Host(holder.pid, directory, binaries)
        try:
            yield host
        finally:
            assert eventually(lambda: _ended(host))
            holder.stdin.close()


def _ended(host: Host) -> bool:
    for pid, _ in host.programs():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not host.programs()
