"""Machines with clusters on them as tests make them up: processes and files, seen through the real parsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kubedoctor.doctor.discovery import kubeadm, kwokctl, machine, services, settings
from kubedoctor.doctor.discovery.sharing import Sharing
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Fact, FactError, Look
from kubedoctor.host import Process
from kubedoctor.host.kubeconfigs import parse_kubeconfig

OURS = 1
"""The number of each of our own namespaces."""
LAYOUTS = Path(__file__).parents[1] / "fixtures" / "layouts"
"""Files that kubeadm 1.37.2 and kwokctl 0.8.0 wrote."""

Content = str | bytes | FactError


def process(
    pid: int,
    *argv: str,
    parent: int = 1,
    net: int = OURS,
    mnt: int = OURS,
    executable: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
    cgroup: str = "/",
    uid: int = 0,
    state: str = "S",
    seen: bool = True,
) -> Process:
    """Return a process; one that is not *seen* shows what the kernel shows to other users."""
    return Process(
        pid=pid,
        parent=parent,
        name=argv[0].rpartition("/")[2][:15] if argv else "",
        state=state,
        start_ticks=pid,
        started=1000.0 + pid,
        uid=uid,
        argv=argv,
        environment=(environment or {}) if seen else None,
        executable=(argv[0] if executable is None and argv else executable or "") if seen else "",
        directory=directory if seen else "",
        cgroups={"": cgroup},
        namespaces={"mnt": mnt, "net": net, "pid": mnt, "user": OURS} if seen else {},
        root_is_ours=mnt == OURS if seen else None,
    )


def kubeconfig(server: str) -> str:
    """Return a kubeconfig that leads to *server*."""
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "not-a-secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def layout(name: str) -> dict[str, str]:
    """Return the files of a recorded layout by their absolute paths."""
    top = LAYOUTS / name
    return {f"/{path.relative_to(top)}": path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def faults(*path: str) -> dict[str, list[str]]:
    """Return the command lines of a recorded fault or control by component."""
    content: dict[str, list[str]] = json.loads((LAYOUTS / "argv" / f"{'-'.join(path)}.json").read_text())
    return content


def processes_of(argv: Mapping[str, Iterable[str]], *, first: int = 100, **common: Any) -> list[Process]:
    """Return a process for each command line."""
    return [process(first + number, *words, **common) for number, words in enumerate(argv.values())]


def look_at(
    processes: Iterable[Process],
    files: Mapping[str, Content] | None = None,
    *,
    roots: Mapping[int, Mapping[str, Content]] | None = None,
    shared: Mapping[int, Sharing] | None = None,
    addresses: Iterable[str] = ("127.0.0.1",),
    kwok: tuple[str, ...] = (),
) -> SharedLook:
    """Return a look at a machine with these processes and files; *roots* are the files seen from other processes.

    A FactError for a content is raised by whoever reads it, or lists it: a path may be a directory's.
    """
    running, everything = tuple(processes), {0: files or {}, **(roots or {})}

    def content(path: str, root: int) -> bytes:
        found = everything.get(root, {}).get(path, Absent(f"{path} does not exist"))
        if isinstance(found, FactError):
            raise found
        return found if isinstance(found, bytes) else found.encode()

    def names(path: str, root: int) -> tuple[str, ...]:
        there = everything.get(root, {})
        if isinstance(refused := there.get(path), FactError):
            raise refused
        found = {one[len(path) + 1 :].split("/")[0] for one in there if one.startswith(f"{path}/")}
        if not found:
            raise Absent(f"{path} does not exist")
        return tuple(sorted(found))

    def exists(path: str, root: int) -> bool:
        there = everything.get(root, {})
        if isinstance(refused := there.get(path), FactError) and not isinstance(refused, Absent):
            raise refused
        return path in there or any(one.startswith(f"{path}/") for one in there)

    def readable(path: str, root: int) -> bool:
        return content(path, root) is not None

    answers: dict[str, Callable[..., Any]] = {
        "host.processes": lambda: running,
        "host.our-namespaces": lambda: {"mnt": OURS, "net": OURS, "pid": OURS, "user": OURS},
        "host.addresses": lambda _net: tuple(_Address(one) for one in addresses),
        "host.kubeconfig": lambda path, root=0: parse_kubeconfig(content(path, root), path),
        "targets.machine": lambda: "box, Linux 6.1.0, Debian GNU/Linux 12",
        "targets.hides-processes": lambda: False,
        "targets.output": lambda _pid: "",
        "targets.sharing": lambda pid: (shared or {}).get(pid, Sharing(root=None, net=None)),
        "targets.readable": readable,
        "targets.exists": exists,
        "targets.directory": names,
        "targets.static-pods": lambda path, root: kubeadm.parse_static_pods(content(path, root), path),
        "targets.kubelet-settings": lambda path, root: settings.parse_kubelet_settings(content(path, root), path),
        "targets.client-kubeconfig": lambda path, root: settings.parse_client_kubeconfig(content(path, root), path),
        "targets.etcd-settings": lambda path, root: settings.parse_etcd_settings(content(path, root), path),
        "targets.runtime-address": lambda path, root: settings.parse_runtime_address(content(path, root), path),
        "targets.unit-command": lambda path, root: machine.parse_unit(content(path, root).decode(), path),
        "targets.environment-file": lambda path, root, name: machine.parse_environment_file(
            content(path, root).decode(), path, name
        ),
        "targets.k3s-settings": lambda path, root: services.parse_k3s_settings(content(path, root), path),
        "targets.kwokctl-components": lambda path, root: kwokctl.parse_kwokctl(content(path, root), path),
        "targets.kwokctl-clusters": lambda: kwok,
    }

    def source(look: Look, fact: Fact[Any, Any], arguments: tuple[object, ...], key: str) -> Any:
        return answers[fact.name](*arguments)

    return SharedLook(source, now=2000.0)


class _Address:
    def __init__(self, address: str) -> None:
        self.address = address
