"""A node with another proxy mode than the usual one: services work the same, or `up` tells why they cannot."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import commands, free_port, got
from support.command import Kubedoctor
from support.guarded import refusal
from support.images import probe_archive
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
    names = {inside(cli, "client", "get", f"http://{address}") for _ in range(30)}
    assert len(names) == 3, "the service does not spread over its pods"
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
