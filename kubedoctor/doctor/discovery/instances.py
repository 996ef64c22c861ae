"""From processes to instances of components, with what is needed to put them together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kubedoctor.doctor.discovery.recognise import component_name
from kubedoctor.doctor.discovery.sharing import sharing
from kubedoctor.facts import FactError, Look, fact
from kubedoctor.host import Process, as_fact_errors, our_namespaces, processes
from kubedoctor.host.process import open_files
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

_IN_PODS = ("coredns", "kwok")
"""Components that usually run in a network namespace of their own: they belong to the cluster of what started them."""


_CONTAINER = re.compile(r"[0-9a-f]{64}")
"""The id of a container in the path of a cgroup: the outermost is the machine that a component takes it for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A running component. `home` and `files` name its network and mount namespace: equal ones are the same.

    `seen`: we have the right to look into it.
    """

    instance: Instance
    home: str
    files: str
    parent: int = 0
    seen: bool = True


def find(look: Look, *, known: frozenset[int]) -> tuple[Found, ...]:
    """Return the running components, those whose pid is *known* left out, in an order that does not depend on pids."""
    everyone = {process.pid: process for process in look.get(processes)}
    named = {
        pid: name
        for pid, process in everyone.items()
        if pid not in known
        and process.state not in ("Z", "X")
        and (name := component_name(process.argv, process.executable))
    }
    surroundings = Surroundings(look, [everyone[pid] for pid in named])
    found = [_found(look, everyone, everyone[pid], name, surroundings) for pid, name in named.items()]
    return tuple(sorted(found, key=lambda one: (one.instance.name, one.instance.argv, one.instance.pid)))


def running(look: Look, process: Process, name: str, *, root: int, net: int) -> Instance:
    """Return the instance that a process is, its files seen from *root*, its network from *net*."""
    return Instance(
        name=name,
        source=f"process {process.pid}",
        pid=process.pid,
        argv=process.argv,
        environment=process.environment or {},
        executable=process.executable,
        directory=process.directory,
        uid=process.uid,
        started=process.started,
        state=process.state,
        root=root,
        net=net,
        log=_log(look, process.pid),
    )


def updated(instance: Instance, process: Process | None) -> Instance:
    """Return an instance with what its process says of itself; without one it does not run (any more)."""
    if process is None or process.state in ("Z", "X"):
        return replace(
            instance, pid=0, state="", started=0.0, source=instance.source.replace("process", "formerly process")
        )
    return replace(
        instance,
        argv=process.argv or instance.argv,
        environment=instance.environment if process.environment is None else process.environment,
        executable=process.executable or instance.executable,
        directory=process.directory or instance.directory,
        uid=process.uid,
        started=process.started,
        state=process.state,
    )


def _found(
    look: Look, everyone: Mapping[int, Process], process: Process, name: str, surroundings: Surroundings
) -> Found:
    starter = everyone.get(process.parent)
    home = surroundings.home(process)
    if name in _IN_PODS and starter is not None and "net" in starter.namespaces:
        home = surroundings.home(starter)
    return Found(
        instance=running(look, process, name, root=surroundings.root(process), net=surroundings.net(process)),
        home=home,
        files=surroundings.files(process),
        parent=process.parent,
        seen="net" in process.namespaces,
    )


class Surroundings:
    """Tells namespaces apart. 0 is our own; what we cannot tell is the process's own, so that it stays unknown."""

    def __init__(self, look: Look, found: Iterable[Process]) -> None:
        self._look = look
        self._ours = look.get(our_namespaces)
        self._nets: dict[int, int] = {}  # namespace: the pid it is entered by, the same for all who are in it
        for process in sorted(found, key=lambda one: one.pid):
            self._nets.setdefault(process.namespaces.get("net", 0), process.pid)

    def root(self, process: Process) -> int:
        """Return the pid whose root directory it sees."""
        shared = process.root_is_ours if process.namespaces else self._sharing(process.pid)[0]
        return 0 if shared else process.pid

    def net(self, process: Process) -> int:
        """Return the pid whose network namespace it is in: the same one for all who are in it."""
        if "net" not in process.namespaces:
            return 0 if self._sharing(process.pid)[1] else process.pid
        inode = process.namespaces["net"]
        return 0 if inode == self._ours.get("net") else self._nets.get(inode, process.pid)

    def home(self, process: Process) -> str:
        """Return a name for its network namespace."""
        if "net" in process.namespaces:
            inode = process.namespaces["net"]
            return "ours" if inode == self._ours.get("net") else f"net {inode}"
        if self._sharing(process.pid)[1]:
            return "ours"
        container = next((found[0] for path in process.cgroups.values() if (found := _CONTAINER.search(path))), "")
        return f"container {container}" if container else f"process {process.pid}"

    def files(self, process: Process) -> str:
        """Return a name for its mount namespace."""
        if not self.root(process):
            return "ours"
        return f"mnt {process.namespaces['mnt']}" if "mnt" in process.namespaces else f"process {process.pid}"

    def _sharing(self, pid: int) -> tuple[bool | None, bool | None]:
        try:
            found = self._look.get(sharing, pid)
        except FactError:
            return None, None
        return found.root, found.net


@fact("targets.output")
def output(look: Look, pid: int) -> str:
    """The file that the messages of a process go to, "" when it is none (a pipe, a terminal, nothing)."""
    del look
    with as_fact_errors(f"/proc/{pid}/fd"):
        targets = dict(open_files(pid))
    files = [targets.get(descriptor, "") for descriptor in (2, 1)]
    return next((file for file in files if file.startswith("/") and not file.startswith("/dev/")), "")


def _log(look: Look, pid: int) -> str:
    try:
        return look.get(output, pid).removesuffix(" (deleted)")
    except FactError:
        return ""
