"""A cluster as a test has it: commands with a home of their own, kubectl, nothing left at the end."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from support.command import Done, Kubedoctor
from support.machine import processes


@contextlib.contextmanager
def commands(directory: Path, binaries: Mapping[str, Path], **env: str) -> Iterator[Kubedoctor]:
    """Yield `kubedoctor` with a home under *directory*; at the end everything is stopped and no process is left."""
    bin_dir = directory / "bin"
    bin_dir.mkdir()
    for name, path in binaries.items():
        (bin_dir / name).symlink_to(path)
    cli = Kubedoctor(home=directory / "home", bin_dir=bin_dir, env={"API_SECURE_PORT": str(free_port()), **env})
    try:
        yield cli
    finally:
        cli("down", "--all")
    assert processes(cli.home) == []


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Return whether nobody listens on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether *condition* comes true in time; for what gives no sign when it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kubectl(cli: Kubedoctor, *arguments: str, kubeconfig: Path | None = None, stdin: object = None) -> Done:
    """Run kubectl as the administrator of the default cluster; *stdin* is an object to be given as JSON."""
    config = kubeconfig or cli.home / "clusters" / "local" / "kubeconfig" / "admin"
    done = subprocess.run(
        [str(cli.bin_dir / "kubectl"), f"--kubeconfig={config}", *arguments],
        input="" if stdin is None else json.dumps(stdin),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def got(cli: Kubedoctor, *arguments: str, kubeconfig: Path | None = None, stdin: object = None) -> Any:
    """Return what kubectl answers as JSON; it has to go well."""
    done = kubectl(cli, *arguments, "-o", "json", kubeconfig=kubeconfig, stdin=stdin)
    assert done.status == 0, done.err
    return done.json


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Pod of one container; *spec* is laid over its own, `labels` are the Pod's."""
    labels = spec.pop("labels", {})
    metadata = {"name": name, "labels": labels}
    container = {"name": "c", "image": "registry.invalid/image"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}
