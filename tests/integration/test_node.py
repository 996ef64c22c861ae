"""A node of real components: pods that run, reach each other by name and address, and are gone without trace."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import eventually, free_port, kubectl
from support.command import Kubedoctor
from support.guarded import guarded
from support.images import PROBE, probe_archive
from support.machine import difference, everything
from support.pods import applied, deployment, inside, pod, ready

from kubedoctor.cluster.identity import ProcessIdentity, send

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return probe_archive(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path], archive: Path
) -> Iterator[Kubedoctor]:
    """A cluster with a node and busybox, for all tests of this module that only look."""
    with guarded(tmp_path_factory.mktemp("node"), node_binaries) as cli:
        cli.ok("up", "--node", "--image-archive", str(archive))
        yield cli


def test_ready_means_that_everything_works(node: Kubedoctor) -> None:
    status = node.ok("status", "-o", "json").json
    states = {component["name"]: component["state"] for component in status["components"]}
    assert {states.pop(name) for name in ("images", "image-archive")} == {"done"}
    assert set(states.values()) == {"ready"}
    assert {"containerd", "kubelet", "kube-proxy", "coredns"} <= states.keys()
    assert kubectl(node, "wait", "--for=condition=Ready", "node/local", "--timeout=1s").status == 0


def test_service_answers_by_name_by_address_and_from_outside(node: Kubedoctor) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}],
        },
    }
    applied(
        node,
        service,
        deployment("web", 3, "serve", ":8080"),
        pod("client", "wait"),
    )
    ready(node, "deployment/web", "jsonpath={.status.readyReplicas}=3")
    ready(node, "pod/client")
    address = json.loads(kubectl(node, "get", "service", "web", "-o", "json").out)["spec"]["clusterIP"]
    for name in ("web", "web.default.svc.cluster.local"):
        assert inside(node, "client", "lookup", name) == f"{address}\n"
        assert inside(node, "client", "get", f"http://{name}").startswith("web-")
    names = {inside(node, "client", "get", f"http://{address}").strip() for _ in range(30)}
    assert len(names) == 3, "the service does not spread over its pods"
    port = free_port()
    node.ok("publish", f"{port}:30080")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
        assert answer.read().decode().startswith("web-")


def test_pods_can_be_looked_into(node: Kubedoctor) -> None:
    applied(node, pod("talker", "serve", ":8080"))
    ready(node, "pod/talker")
    assert eventually(lambda: kubectl(node, "logs", "talker").out == "hello\n")
    assert inside(node, "talker", "get", "http://localhost:8080") == "talker\n"
    refused = kubectl(node, "exec", "talker", "--", PROBE.path, "exit", "four")
    assert refused.status == 4
    port = free_port()
    config = node.home / "clusters" / "local" / "kubeconfig" / "admin"
    argv = [str(node.bin_dir / "kubectl"), f"--kubeconfig={config}", "port-forward", "pod/talker", f"{port}:8080"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            assert forwarding.stdout.readline().startswith("Forwarding from")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
                assert answer.read() == b"talker\n"
        finally:
            forwarding.terminate()


def test_config_map_that_changes_reaches_its_pod(node: Kubedoctor) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": "first"}}
    reader = pod(
        "reader",
        "wait",
        container={"volumeMounts": [{"name": "settings", "mountPath": "/settings"}]},
        spec={"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]},
    )
    applied(node, config, reader)
    ready(node, "pod/reader")
    assert inside(node, "reader", "cat", "/settings/key") == "first"
    applied(node, {**config, "data": {"key": "second"}})
    # The kubelet looks once a minute; a change of the pod makes it look at once.
    assert kubectl(node, "annotate", "pod", "reader", "look=now").status == 0
    assert eventually(lambda: inside(node, "reader", "cat", "/settings/key") == "second", 100)


# --- what is left -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path: Path, node_binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, node_binaries) as command:
        yield command


def test_nothing_is_left_after_down(cli: Kubedoctor, archive: Path) -> None:
    before = everything(cli.home)
    cli.ok("up", "--node", "--image-archive", str(archive))
    applied(cli, deployment("web", 2, "wait"))
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=2")
    cli.ok("down")
    assert difference(before, everything(cli.home)) == {}
    cli.ok("up", "--node")
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=2")


def test_nothing_is_left_when_the_sandbox_is_killed(cli: Kubedoctor, archive: Path) -> None:
    before = everything(cli.home)
    cli.ok("up", "--node", "--image-archive", str(archive))
    applied(cli, deployment("web", 2, "wait"))
    ready(cli, "deployment/web", "jsonpath={.status.readyReplicas}=2")
    supervisor = cli("status", "-o", "json").json["places"][0]["supervisor"]
    assert send(ProcessIdentity(supervisor["pid"], supervisor["start_ticks"]), signal.SIGKILL)
    assert eventually(lambda: difference(before, everything(cli.home)) == {}), difference(before, everything(cli.home))


@pytest.mark.parametrize("moment", [0.3, 0.7, 1.1, 1.6, 2.2, 2.9, 3.5, 4.2, 5.0, 6.0])
def test_nothing_is_left_when_up_is_killed(cli: Kubedoctor, moment: float) -> None:
    before = everything(cli.home)
    with cli.popen("up", "--node") as up:
        time.sleep(moment)  # the moment is what is tested
        up.kill()
    assert eventually(lambda: difference(before, everything(cli.home)) == {}), difference(before, everything(cli.home))
