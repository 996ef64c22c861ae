"""A node in a sandbox, its files changed and put back, for tests of what can be wrong with it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.clusters import commands, eventually
from support.command import Done, Kubedoctor
from support.guarded import place_of

from kubedoctor.cluster.binaries.golang import find_go

CHECKS = ("runtime.*", "cni.*", "kubelet.cgroup-driver-mismatch")
SOCKET = "/run/containerd/containerd.sock"


@dataclass(frozen=True)
class Node:
    """A cluster with a node, and where its files are outside of the sandbox."""

    cli: Kubedoctor

    @property
    def containerd(self) -> Path:
        """containerd's configuration."""
        return Path(place_of(self.cli).config) / "containerd.toml"

    @property
    def kubelet(self) -> Path:
        """The kubelet's configuration."""
        return Path(place_of(self.cli).config) / "kubelet.json"

    @property
    def networks(self) -> Path:
        """What the sandbox has at /etc/cni/net.d."""
        return Path(place_of(self.cli).data) / "private/etc/cni/net.d"

    @property
    def network(self) -> Path:
        """The one file of network configuration."""
        (found,) = self.networks.glob("*.conflist")
        return found

    @property
    def plugins(self) -> Path:
        """What the sandbox has at /opt/cni/bin."""
        return Path(place_of(self.cli).data) / "private/opt/cni/bin"

    @property
    def runc(self) -> Path:
        """The link to runc."""
        return Path(place_of(self.cli).data) / "bin/runc"

    def restarted(self, *components: str) -> None:
        """Restart components; each has to become ready."""
        for component in components:
            self.cli.ok("restart", component)

    def says(self, words: str) -> bool:
        """Return whether containerd comes to say *words* of the network: it looks at its files when they change."""
        return eventually(lambda: words in self.network_condition())

    def network_condition(self) -> str:
        """Return what containerd says of the network now, over the CRI."""
        from kubedoctor.doctor.look import SharedLook
        from kubedoctor.facts import FactError
        from kubedoctor.host.cri import cri_status

        try:
            status = SharedLook().get(cri_status, SOCKET, self.pid("containerd"))
        except FactError as problem:
            return problem.reason
        condition = status.condition("NetworkReady")
        return f"{condition.status} {condition.message} {status.cni_load}" if condition else ""

    def pid(self, component: str) -> int:
        """Return the process of a component, 0 when there is none."""
        listed = self.cli("status", "-o", "json").json["components"]
        return int(next(one["pid"] for one in listed if one["name"] == component) or 0)


@contextlib.contextmanager
def a_node(directory: Path, binaries: Mapping[str, Path]) -> Iterator[Node]:
    """Yield a node that is Ready; nothing is left of it at the end."""
    with commands(directory, binaries, KUBE_ENABLE_CLUSTER_DNS="false") as cli:
        cli.ok("up", "--node")
        yield Node(cli)


@contextlib.contextmanager
def changed(path: Path, *changes: tuple[str, str]) -> Iterator[None]:
    """Replace texts in a file, each of which has to be there, and put it back as it was."""
    before = path.read_bytes()
    text = before.decode()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
    try:
        yield
    finally:
        path.write_bytes(before)


@contextlib.contextmanager
def added(path: Path, content: str) -> Iterator[None]:
    """Have a file, and remove it again."""
    path.write_text(content)
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def away(path: Path) -> Iterator[None]:
    """Take a file out of its directory, and put it back."""
    aside = path.parent.parent / f"aside-{path.name}"
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextlib.contextmanager
def without(path: Path) -> Iterator[None]:
    """Remove a file, and write it again."""
    content = path.read_bytes()
    path.unlink()
    try:
        yield
    finally:
        path.write_bytes(content)


def runc_without_seccomp(directory: Path, version: str) -> Path:
    """Build runc without its tag seccomp, from the sources it is usually built from."""
    go = find_go().path
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "1"}

    def run(*arguments: str) -> Done:
        done = subprocess.run(
            [go, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    module = json.loads(run("mod", "download", "-json", f"github.com/opencontainers/runc@{version}").out)
    target = directory / "runc-without-seccomp"
    run("build", "-C", module["Dir"], "-trimpath", "-ldflags=-s -w", "-o", str(target), ".")
    return target
