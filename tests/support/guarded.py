"""A cluster that a test makes fail: a command of its own, sick binaries, and nothing left on the machine at the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support.command import Done, Kubedoctor
from support.machine import difference, snapshot

from kubedoctor.cluster.identity import ProcessIdentity
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ETCD = ("--only", "etcd")
"""Options of `up` for what has nothing to do with Kubernetes: a cluster in half a second."""


@contextlib.contextmanager
def guarded(tmp_path: Path, binaries: Mapping[str, Path], **changes: Any) -> Iterator[Kubedoctor]:
    """Yield the program with a home and a port of its own; at the end everything is stopped and nothing may be left."""
    fields = {"home": tmp_path / "home", "env": {"API_SECURE_PORT": str(free_port())}, **changes}
    bin_dir = fields.pop("bin_dir", None) or one_directory(tmp_path, binaries)
    command = Kubedoctor(bin_dir=bin_dir, **fields)
    before = snapshot(command.home)
    try:
        yield command
    finally:  # a test that fails leaves nothing either
        command("down", "--all")
    assert difference(before, snapshot(command.home)) == {}


def one_directory(tmp_path: Path, binaries: Mapping[str, Path]) -> Path:
    """Return a new directory with links to all *binaries*."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, path in binaries.items():
        (directory / name).symlink_to(path)
    return directory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sick(cli: Kubedoctor, name: str, script: str) -> Path:
    """Put a program in the place of binary *name* that tells the version and flags of the real one, and runs *script*.

    In the script `$REAL` is the real binary, and "$@" its arguments.
    """
    path = cli.bin_dir / name
    real = path.resolve()
    path.unlink()
    asked = 'for word; do case "$word" in --version|--help) exec "$REAL" "$@";; esac; done'
    path.write_text(f"#!/bin/sh\nREAL={shlex.quote(str(real))}\n{asked}\n{script}\n")
    path.chmod(0o755)
    return real


def cure(cli: Kubedoctor, name: str, real: Path) -> None:
    """Put the real binary back."""
    path = cli.bin_dir / name
    path.unlink()
    path.symlink_to(real)


def place_of(cli: Kubedoctor, name: str = "local") -> PlacePaths:
    return ClusterPaths(name, cli.home / "clusters" / name).place()


def pids(cli: Kubedoctor, *options: str) -> dict[str, int]:
    status = cli("status", "-o", "json", *options).json
    return {component["name"]: component["pid"] for component in status["components"]}


def identity_of(cli: Kubedoctor, component: str) -> ProcessIdentity:
    """Return the process of a component, of the `keeper` or of the `supervisor`."""
    status = cli("status", "-o", "json").json
    (found,) = (
        [status["places"][0][component]]
        if component in ("keeper", "supervisor")
        else [c for c in status["components"] if c["name"] == component]
    )
    return ProcessIdentity(found["pid"], found["start_ticks"])


def children_of(pid: int) -> dict[str, int]:
    """Return the names and pids of the children of a process."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


def refusal(done: Done, *, status: int = 1) -> str:
    """Insist on a refusal as a person should see it, and return all of it.

    One `error:`, something to do next, the exit status expected, nothing on stdout, nothing that speaks of Python.
    """
    said = done.err
    assert done.status == status, f"{done.status}: {done.out}{said}"
    assert "Traceback" not in said, said
    assert "defect" not in said, said
    assert len(re.findall(r"^error: ", said, re.MULTILINE)) == 1, said
    assert re.search(r"^hint: \S", said, re.MULTILINE), said
    assert done.out == ""
    return said


def files_in(directory: Path) -> set[str]:
    """Return all files below *directory*, by relative path; directories are no files."""
    found = (Path(root, name) for root, _, names in os.walk(directory) for name in names)
    return {str(path.relative_to(directory)) for path in found}


def events(cli: Kubedoctor) -> list[dict[str, Any]]:
    """Return the events of the last run."""
    return [json.loads(line) for line in place_of(cli).events.read_text().splitlines()]
