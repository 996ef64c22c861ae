"""Clusters with nodes on one machine: the same names, addresses and sockets inside, and nothing shared."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.clusters import free_port, got, kubectl
from support.command import Kubedoctor
from support.images import PROBE
from support.owners import AS_USERS, owner_of
from support.pods import deployment, pod
from support.workloads import service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800), *AS_USERS]


@dataclass(frozen=True)
class Cluster:
    """A cluster with a node, whose Service `web` is published."""

    cli: Kubedoctor
    name: str
    archive: Path
    port: int

    @property
    def up(self) -> tuple[str, ...]:
        """The words that bring it up."""
        options = ("--image-archive", str(self.archive), "--publish", f"{self.port}:30080")
        return ("up", "--node", "--name", self.name, *options)

    @property
    def kubeconfig(self) -> Path:
        return self.cli.home / "clusters" / self.name / "kubeconfig" / "admin"

    def kubectl(self, *arguments: str, stdin: object = None) -> str:
        done = kubectl(self.cli, *arguments, kubeconfig=self.kubeconfig, stdin=stdin)
        assert done.status == 0, done.err
        return done.out

    def run_pods(self) -> None:
        ports = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
        web = service("web", ports, type="NodePort", selector={"app": self.name})
        objects = [web, deployment(self.name, 1, "serve", ":8080"), pod("client", "wait")]
        self.kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": objects})

    def has_pods(self) -> None:
        self.kubectl("wait", "--for=condition=Available", f"deployment/{self.name}", "--timeout=50s")
        self.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=50s")

    def answers(self) -> None:
        """Insist that its own pod answers by the service's name inside and at the published port, and its own node."""
        assert self.kubectl("exec", "client", "--", PROBE.path, "get", "http://web").startswith(f"{self.name}-")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=10) as answer:
            assert answer.read().decode().startswith(f"{self.name}-")
        asked = self.cli.ok(
            "enter", "--name", self.name, str(self.cli.bin_dir / "kubectl"), "get", "nodes", "-o", "name"
        )
        assert asked.out == f"node/{self.name}\n"

    def pods(self) -> set[str]:
        listed = got(self.cli, "get", "pods", "--all-namespaces", kubeconfig=self.kubeconfig)["items"]
        return {one["metadata"]["uid"] for one in listed}


@pytest.fixture
def clusters(tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[tuple[Cluster, ...]]:
    """Two of ours, in one home, and an ordinary user's."""
    with (
        owner_of("ours", tmp_path, node_binaries) as us,
        us.command() as ours,
        owner_of("user's", tmp_path, node_binaries) as them,
        them.command() as theirs,
    ):
        try:
            yield (
                Cluster(without_port(ours), "one", us.archive, free_port()),
                Cluster(without_port(ours), "two", us.archive, free_port()),
                Cluster(without_port(theirs), "three", them.archive, free_port()),
            )
        finally:  # each of the two looks at the whole machine at its end
            ours("down", "--all")
            theirs("down", "--all")


def without_port(cli: Kubedoctor) -> Kubedoctor:
    """Return the command without its port, which is for one cluster."""
    return replace(cli, env={name: value for name, value in cli.env.items() if name != "API_SECURE_PORT"})


def test_nodes_do_not_see_each_other_and_one_goes_alone(clusters: tuple[Cluster, ...]) -> None:
    for up in [cluster.cli.popen(*cluster.up) for cluster in clusters]:  # at the same time
        _, said = up.communicate(timeout=150)
        assert up.returncode == 0, said
    for cluster in clusters:
        cluster.run_pods()
    for cluster in clusters:
        cluster.has_pods()
        cluster.answers()
    there = {cluster.name: cluster.pods() for cluster in clusters}
    assert [len(pods) for pods in there.values()] == [3, 3, 3]  # web, client and CoreDNS
    assert len(set().union(*there.values())) == 9

    first, *others = clusters
    first.cli.ok("down", "--name", first.name)
    for cluster in others:
        cluster.answers()
        assert cluster.pods() == there[cluster.name]
