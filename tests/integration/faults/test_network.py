"""What is found without a default route, and that it is needed where we say so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.clusters import commands, kubectl
from support.command import Kubedoctor
from support.faults import examined
from support.mounts import lonely_network

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECK = "network.no-default-route"
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "local"}}


@pytest.fixture
def cli(tmp_path: Path, node_binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, node_binaries) as command:
        yield command


def test_programs_on_a_node_reach_no_service_once_its_default_route_is_gone(cli: Kubedoctor) -> None:
    cli.ok("up", "--node", "--only", "etcd,kube-apiserver")
    assert kubectl(cli, "create", "-f", "-", stdin=NODE).status == 0  # kube-proxy waits for it
    cli.ok("up", "--node", "--only", "etcd,kube-apiserver,kube-proxy")
    seen = examined(cli, CHECK)
    assert seen.outcome(CHECK, "local") == "passed"
    assert reaches_service(cli)
    cli.ok("enter", "ip", "route", "del", "default")
    seen = examined(cli, CHECK, "proxy", fixture=CHECK)
    assert seen.message(CHECK) == (
        "there is no default route and none to 10.0.0.0/24, so programs on the machine itself reach no service"
    )
    assert seen.failed() == {CHECK}, "the rules are well, and pods reach the service"
    assert not reaches_service(cli)
    cli.ok("enter", "ip", "route", "add", "10.0.0.0/24", "dev", "kubedoctor0")
    assert examined(cli, CHECK).outcome(CHECK, "local") == "passed"
    assert reaches_service(cli)
    cli.ok("enter", "ip", "route", "replace", "unreachable", "10.0.0.0/24")
    assert examined(cli, CHECK).outcome(CHECK, "local") == "failed"
    assert not reaches_service(cli)


def reaches_service(cli: Kubedoctor) -> bool:
    code = "import socket; socket.create_connection(('10.0.0.1', 443), timeout=5)"
    return cli("enter", "python3", "-c", code).status == 0


def test_a_sandbox_has_routes_of_its_own_whatever_the_machine_has(cli: Kubedoctor) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with lonely_network(sys.executable) as words:
        lonely = Kubedoctor(home=cli.home, bin_dir=cli.bin_dir, prefix=(*words, sys.executable), env=cli.env)
        seen = examined(lonely, CHECK, "--phase", "preflight")
        assert seen.outcome(CHECK, "machine") == "not-applicable"
        lonely.ok("up", "--only", "etcd,kube-apiserver")
        assert examined(lonely, CHECK).findings() == []
        lonely.ok("down")


def test_a_kube_apiserver_that_is_told_no_address_ends_without_one(
    node_binaries: Mapping[str, Path], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    key = tmp_path / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    argv = [
        str(node_binaries["kube-apiserver"]),
        "--etcd-servers=http://127.0.0.1:2379",
        f"--cert-dir={tmp_path}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
    ]
    with lonely_network(sys.executable) as words:
        done = subprocess.run([*words, *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no default routes found" in done.stderr
