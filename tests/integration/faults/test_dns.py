"""What is found when names are not resolved: on a real CoreDNS in a pod of a real node."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.clusters import commands, eventually, kubectl
from support.command import Kubedoctor
from support.faults import Seen, examined

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CHECK = "dns.not-answering"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with commands(tmp_path_factory.mktemp("dns"), node_binaries) as made:
        made.ok("up", "--node")
        yield made


def seen(cli: Kubedoctor, *, fixture: str = "") -> Seen:
    return examined(cli, "dns", "proxy", "network", fixture=fixture)


def selected(cli: Kubedoctor, label: str) -> None:
    patch = json.dumps({"spec": {"selector": {"k8s-app": label}}})
    done = kubectl(cli, "-n", "kube-system", "patch", "service", "kube-dns", "-p", patch)
    assert done.status == 0, done.err


def recording(cli: Kubedoctor) -> dict[str, Any]:
    """Return what the check asks for, and of whom."""
    path = cli.home.parent / "recording.json"
    cli("check", CHECK, "--record", str(path))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def instance(recorded: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    (found,) = [
        one
        for target in recorded["targets"]
        for one in target["instances"]
        if (target["id"], one["name"]) == ("local", name) and one["pid"]
    ]
    return dict(found)


def test_nothing_is_found_where_names_are_resolved(cli: Kubedoctor) -> None:
    found = seen(cli, fixture="healthy-node-network")
    assert found.findings() == []
    assert found.blind() == {}
    for check in (CHECK, "proxy.kubernetes-service-missing", "proxy.leftover-rules", "network.no-default-route"):
        assert found.outcome(check, "local") == "passed"


def test_a_service_that_selects_no_pod_is_found_though_coredns_is_well(cli: Kubedoctor) -> None:
    selected(cli, "coredns")
    try:
        assert eventually(lambda: bool(examined(cli, CHECK).findings(CHECK)))
        found = seen(cli, fixture=CHECK)
    finally:
        selected(cli, "kube-dns")
    assert found.message(CHECK) == (
        "the DNS address that pods are told, 10.0.0.10, has no endpoint: no ready pod of CoreDNS is selected"
    )
    (finding,) = found.findings(CHECK)
    assert "kube-system/kube-dns:dns has no endpoints" in finding["evidence"][0]["observed"]
    assert found.failed() == {CHECK}
    assert eventually(lambda: examined(cli, CHECK).findings(CHECK) == [])


def test_a_coredns_that_hangs_is_told_as_the_one_cause(cli: Kubedoctor) -> None:
    pid = int(instance(recording(cli), "coredns")["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        found = seen(cli, fixture=f"{CHECK}.stopped")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert found.message(CHECK) == f"coredns (pid {pid}) is stopped, by SIGSTOP or Ctrl-Z"
    assert seen(cli).findings() == []


def test_without_the_service_no_question_leaves_the_machine(cli: Kubedoctor) -> None:
    document = json.loads(kubectl(cli, "-n", "kube-system", "get", "service", "kube-dns", "-o", "json").out)
    kubectl(cli, "-n", "kube-system", "delete", "service", "kube-dns")
    try:
        assert eventually(lambda: "no rule leads" in "".join(str(one["message"]) for one in seen(cli).findings(CHECK)))
        recorded = recording(cli)
        own = f", {instance(recorded, 'kubelet')['net']})"  # other clusters of this machine may have that address too
        assert not [key for key in recorded["facts"] if key.startswith("host.dns-answer") and key.endswith(own)]
    finally:
        spec = {name: document["spec"][name] for name in ("clusterIP", "ports", "selector")}
        meta = {name: document["metadata"][name] for name in ("name", "namespace", "labels")}
        made = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
        assert kubectl(cli, "create", "-f", "-", stdin=made).status == 0
    assert eventually(lambda: seen(cli).findings() == [])


def test_a_name_server_of_another_cluster_is_told_by_its_answer(cli: Kubedoctor) -> None:
    """Have CoreDNS answer for another domain, as one that was set up with another one does."""
    config = json.loads(kubectl(cli, "-n", "kube-system", "get", "configmap", "coredns", "-o", "json").out)
    corefile = config["data"]["Corefile"]
    other = {**config, "data": {"Corefile": corefile.replace("cluster.local", "other.example")}}
    kubectl(cli, "replace", "-f", "-", stdin=other)
    kubectl(cli, "-n", "kube-system", "rollout", "restart", "deployment/coredns")
    try:
        done = kubectl(cli, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
        assert done.status == 0, done.err
        assert eventually(lambda: "NXDOMAIN" in "".join(str(one["message"]) for one in seen(cli).findings(CHECK)))
        found = seen(cli, fixture=f"{CHECK}.other-domain")
    finally:
        kubectl(
            cli, "replace", "-f", "-", stdin={**config, "metadata": {"name": "coredns", "namespace": "kube-system"}}
        )
        kubectl(cli, "-n", "kube-system", "rollout", "restart", "deployment/coredns")
        kubectl(cli, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
    assert "it does not know the cluster's domain" in found.message(CHECK)
    assert eventually(lambda: seen(cli).findings() == [])
