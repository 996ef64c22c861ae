"""A node of other parts than the usual ones: another proxy mode, the container runtime of the distribution."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.boxes import checked
from support.clusters import commands, free_port, got
from support.command import Kubedoctor
from support.guarded import refusal
from support.images import probe_archive
from support.packages import unpacked
from support.pods import applied, deployment, inside, pod, ready
from support.workloads import service

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(1800)]

WEB = service("web", [{"port": 80, "targetPort": 8080, "nodePort": 30080}], type="NodePort")


@pytest.fixture
def cli(tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, node_binaries) as command:
        yield command


def test_services_of_nftables_answer_by_name_by_address_and_from_outside(cli: Kubedoctor, tmp_path: Path) -> None:
    port = free_port()
    options = ("--image-archive", str(probe_archive(tmp_path)), "--publish", f"{port}:30080")
    cli.ok("up", "--node", *options, env={"KUBE_PROXY_MODE": "nftables"})
    applied(cli, WEB, deployment("web", 3, "serve", ":8080"), pod("client", "wait"))
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=3")
    ready(cli, "pod/client")
    address = got(cli, "get", "service", "web")["spec"]["clusterIP"]

    assert inside(cli, "client", "lookup", "web") == f"{address}\n"
    assert inside(cli, "client", "get", "http://web").startswith("web-")
    answered: set[str] = set()
    for _ in range(40):
        answered.add(inside(cli, "client", "get", f"http://{address}"))
        if len(answered) == 3:
            break
    assert len(answered) == 3, "the service does not spread over its pods"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
        assert answer.read().decode().startswith("web-")

    rules = cli.ok("enter", "nft", "list", "ruleset").out
    assert f"{address} . tcp . 80" in rules
    assert "KUBE-SVC-" not in rules, "services are made by iptables"


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has virtual servers")
def test_virtual_servers_that_the_kernel_does_not_have_are_refused_before_anything_starts(cli: Kubedoctor) -> None:
    said = refusal(cli("up", "--node", env={"KUBE_PROXY_MODE": "ipvs"}))
    assert "kernel feature ip_vs (services: the kernel has no virtual servers)" in said
    assert not list(cli.home.glob("clusters/*/places/*/plan.json"))


# --- container runtimes -----------------------------------------------------------------------------------------------


def test_pods_run_in_the_containerd_of_the_distribution(tmp_path: Path, node_binaries: dict[str, Path]) -> None:
    """Debian 12 has 1.6, which reads another version of the configuration than 2.x writes."""
    package, runc = unpacked("containerd"), unpacked("runc")
    theirs = {name: package / "usr/bin" / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    theirs["runc"] = next(path for path in (runc / "usr/bin/runc", runc / "usr/sbin/runc") if path.is_file())
    with commands(tmp_path, {**node_binaries, **theirs}) as cli:
        cli.ok("up", "--node", "--image-archive", str(probe_archive(tmp_path)))
        applied(cli, WEB, deployment("web", 1, "serve", ":8080"), pod("client", "wait"))
        ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=1")
        ready(cli, "pod/client")
        assert inside(cli, "client", "get", "http://web").startswith("web-")
        assert inside(cli, "client", "id").startswith("0 0 ")

        (node,) = got(cli, "get", "nodes")["items"]
        told = subprocess.run([str(theirs["containerd"]), "--version"], capture_output=True, text=True, check=True)
        runtime = node["status"]["nodeInfo"]["containerRuntimeVersion"]
        assert runtime.removeprefix("containerd://") in told.stdout
        assert checked(cli, "runtime", "cni", "kubelet", cluster="local").findings(severity="error") == []
