"""An ordinary user's node: in a user namespace with subordinate ids, without root and without a container engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import free_port
from support.images import probe_archive
from support.machine import difference, snapshot
from support.packages import unpacked
from support.person import Person, install, interpreter, public_binaries
from support.pods import applied, deployment, inside, pod, ready
from support.registry import registry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as other users"),
    pytest.mark.skipif(not interpreter(), reason="no Python of this version can be run by other users"),
]

NOBODY = Person(65534, 65534)
GRANT = 'mount --bind $0 /etc/subuid && mount --bind $0 /etc/subgid && exec "$@"'
"""What a shell in a mount namespace of the test's does: only there the user has subordinate ids."""


@pytest.fixture(scope="module")
def directory(node_binaries: dict[str, Path]) -> Iterator[Path]:
    """A directory that everybody can read, with the program, the binaries, an image and the tools of uidmap."""
    made = Path(tempfile.mkdtemp(prefix="kubedoctor-user-node-"))
    made.chmod(0o755)
    install(made / "program")
    public_binaries(made / "bin", node_binaries)
    archive = probe_archive(made)
    archive.chmod(0o644)
    (made / "subid").write_text("nobody:200000:65536\n")
    (made / "tools").mkdir(mode=0o755)
    for name in ("newuidmap", "newgidmap"):
        shutil.copyfile(shutil.which(name) or unpacked("uidmap") / "usr/bin" / name, made / "tools" / name)
        (made / "tools" / name).chmod(0o4755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def cli(directory: Path) -> Iterator[Kubedoctor]:
    own = Path(tempfile.mkdtemp(prefix="test-", dir=directory))
    own.chmod(0o755)
    prefix = ("unshare", "--mount", "sh", "-c", GRANT, str(directory / "subid"))
    command = NOBODY.command(own, directory / "program", directory / "bin", prefix)
    environment = {
        **command.env,
        "PATH": f"{directory / 'tools'}:{command.env['PATH']}",
        "API_SECURE_PORT": str(free_port()),
    }
    command = replace(command, env=environment)
    before = snapshot(own)
    try:
        yield command
    finally:
        command("down", "--all")
    assert difference(before, snapshot(own)) == {}
    command("down", "--delete")
    assert not any((command.home / "clusters").iterdir()), "files of the users inside are left"
    shutil.rmtree(own)


def test_pods_run_and_reach_each_other_by_name(cli: Kubedoctor, directory: Path) -> None:
    up = cli.ok("up", "--node", "--image-archive", str(directory / "probe.tar"))
    assert "ready in" in up.err
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    applied(cli, service, deployment("web", 2, "serve", ":8080"), pod("client", "wait"))
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=2")
    ready(cli, "pod/client")
    assert inside(cli, "client", "get", "http://web").startswith("web-")
    other = pod("other", "wait", spec={"securityContext": {"runAsUser": 1234}})
    applied(cli, other)
    ready(cli, "pod/other")
    status = cli.ok("status", "-o", "json").json
    assert {component["state"] for component in status["components"]} == {"ready", "done"}


def test_without_subordinate_ids_the_control_plane_runs_and_the_grant_is_told(cli: Kubedoctor, directory: Path) -> None:
    (directory / "nothing").write_text("")
    granted, nothing = str(directory / "subid"), str(directory / "nothing")
    without = replace(cli, prefix=[nothing if word == granted else word for word in cli.prefix])
    up = without.ok("up", "--node")
    assert "no 65536 subordinate uids in /etc/subuid: usermod --add-subuids 100000-165535 nobody" in up.err
    assert "kubelet" not in up.err
    assert without.ok("kubectl", "get", "--raw", "/readyz").out == "ok"


def test_image_is_pulled_from_a_registry_of_the_hosts_loopback(cli: Kubedoctor, directory: Path) -> None:
    with registry(directory / "probe.tar") as served:
        cli.ok("up", "--node", "--registry-mirror", f"docker.io=http://127.0.0.1:{served.port}")
        applied(cli, pod("pulled", "wait", container={"imagePullPolicy": "Always"}))
        ready(cli, "pod/pulled")
    assert any("/blobs/sha256:" in line for line in served.asked)
