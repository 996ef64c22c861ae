"""What is looked at: the machine, and every cluster found on it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from kubedoctor.records import dataclass


class TargetKind(StrEnum):
    """Who made what we look at."""

    MACHINE = "machine"
    KUBEDOCTOR = "kubedoctor"
    KUBEADM = "kubeadm"
    LOCAL_UP_CLUSTER = "local-up-cluster"
    K3S = "k3s"
    K0S = "k0s"
    KWOKCTL = "kwokctl"
    OTHER = "other"  # started by hand, or by what we do not know
    API = "api"  # known by a kubeconfig only


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A component as found: running (`pid`), or meant to run (`pid` 0), with what its command line says.

    `argv` and `environment` are redacted. Paths in them are seen from the root directory of process `root`, addresses
    in the network namespace of process `net`; 0 stands for our own. `source` says where this is known from:
    `process 812`, `manifest /etc/kubernetes/manifests/etcd.yaml`, `plan of cluster local`.
    """

    name: str  # as Kubernetes calls it: etcd, kube-apiserver, kubelet, containerd, crio, k3s …
    source: str
    pid: int = 0
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    executable: str = ""
    directory: str = ""  # its working directory
    uid: int = -1
    started: float = 0.0  # seconds since the epoch
    state: str = ""  # of the process, as in /proc/PID/stat: R, S, D, T, Z
    root: int = 0
    net: int = 0
    log: str = ""  # a file its output goes to, where known
    planned: bool = False  # `up` would start it; nothing of it is there yet
    files: Mapping[str, str] = field(default_factory=dict)  # content by path: what `up` would write for it
    moved: Mapping[str, str] = field(default_factory=dict)  # directories it would see elsewhere than they are

    @property
    def is_running(self) -> bool:
        """Return whether it is a live process."""
        return self.pid > 0

    @property
    def flags(self) -> dict[str, tuple[str, ...]]:
        """The flags of its command line without dashes, each with all its values in order; a bare flag is `true`."""
        return parse_flags(self.argv[1:])

    def flag(self, name: str, default: str = "") -> str:
        """Return the last value of the flag, as the components do when it is repeated."""
        return self.flags.get(name, (default,))[-1]

    def path(self, name: str, default: str = "") -> str:
        """Return the file that the flag names, from its working directory on; empty when that cannot be told."""
        return self.absolute(self.flag(name, default))

    def outside(self, path: str) -> str:
        """Return where *path* is for us, when the component is to have directories of its own in place of ours."""
        inside = next((one for one in self.moved if path == one or path.startswith(f"{one}/")), None)
        return path if inside is None else self.moved[inside] + path.removeprefix(inside)

    def absolute(self, path: str) -> str:
        """Return *path* from its working directory on; empty for an empty one, and when that cannot be told."""
        if not path or path.startswith("/"):
            return path
        return posixpath.join(self.directory, path) if self.directory else ""


def parse_flags(words: tuple[str, ...] | list[str]) -> dict[str, tuple[str, ...]]:
    """Return flags as Go's flag packages read them: `-f v`, `--f=v`, `--f v`, `--f`; what is no flag is passed over."""
    flags: dict[str, tuple[str, ...]] = {}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            break
        if not word.startswith("-") or word.strip("-") == "":
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            # Whether the next word is this flag's value only the program knows: kubelet's and etcd's bare flags are
            # always followed by another flag.
            if position < len(words) and not words[position].startswith("-"):
                value = words[position]
                position += 1
            else:
                value = "true"
        flags[name] = (*flags.get(name, ()), value)
    return flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine, or one cluster (or part of one) on it. `title` is one line for people.

    `kubeconfig` is a file with an administrator's rights, seen from our own root directory, or empty. The machine's
    instances are those that `up` would start here; the clusters' are those that run or should.
    """

    id: str
    kind: TargetKind
    title: str
    instances: tuple[Instance, ...] = ()
    kubeconfig: str = ""
    directory: str = ""
    notes: tuple[str, ...] = ()  # what discovery could not see, and why
    unseen: bool = False  # of the machine: it could not be told what runs there at all

    def all(self, *names: str) -> tuple[Instance, ...]:
        """Return the instances of these names; all of them without a name."""
        return tuple(one for one in self.instances if not names or one.name in names)

    def first(self, *names: str) -> Instance | None:
        """Return the first of `all`, running ones before others; None when there is none."""
        return min(self.all(*names), key=lambda one: not one.is_running, default=None)
