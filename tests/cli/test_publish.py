from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import call
from support.places import Kept, fake, kept, plan_of
from support.running import looks_running

from kubedoctor.cluster.documents import ComponentStatus, PlannedPort
from kubedoctor.cluster.paths import ClusterPaths


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    cluster = ClusterPaths.of("test")
    for directory in (cluster.place().config, cluster.place().logs, cluster.place().data):
        directory.mkdir(parents=True, mode=0o700)
    return cluster


@pytest.fixture
def running(cluster: ClusterPaths) -> Iterator[Kept]:
    with kept(cluster.place(), plan_of(cluster.place(), fake(cluster.place(), "web", 8080))) as place:
        place.until_event("ready")
        yield place


def ask(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
        return str(answer.read().decode())


def test_a_published_port_is_reached_until_it_is_unpublished(running: Kept) -> None:
    called = call("publish", "--name", "test", "8080")
    assert called.status == 0, called.err
    address = called.out.strip()
    assert ask(address) == "ok"
    port = address.rpartition(":")[2]
    assert call("unpublish", "--name", "test", port).status == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(port))):
        pass
    again = call("unpublish", "--name", "test", port)
    assert (again.status, again.err.strip()) == (1, f"error: port {port} is not published")


def test_address_and_port_may_be_chosen(running: Kept) -> None:
    with socket.create_server(("127.0.0.7", 0)) as probe:
        port = probe.getsockname()[1]
    called = call("publish", "--name", "test", f"127.0.0.7:{port}:8080")
    assert called.out.strip() == f"127.0.0.7:{port}"
    assert ask(called.out.strip()) == "ok"


def test_a_taken_port_is_refused_with_its_owner(cluster: ClusterPaths) -> None:
    with looks_running(cluster), socket.create_server(("127.0.0.1", 0)) as taken:
        called = call("publish", "--name", "test", f"{taken.getsockname()[1]}:8080")
    assert called.status == 1
    assert "is taken by `" in called.err


@pytest.mark.parametrize("port", ["x", "0", "70000", "1.2.3:80", "1:2:3:4", "192.0.2.1:5000:80"])
def test_what_is_no_port_is_wrong_use(cluster: ClusterPaths, port: str) -> None:
    with looks_running(cluster):
        called = call("publish", "--name", "test", port)
    assert (called.status, called.out) == (2, "")


def test_the_port_of_a_component_is_not_unpublished(cluster: ClusterPaths) -> None:
    port = PlannedPort(name="secure", inside=6443, outside=16443)
    component = ComponentStatus(name="kube-apiserver", kind="", place="node-1", state="ready", ports=(port,))
    with looks_running(cluster, components=(component,)):
        called = call("unpublish", "--name", "test", "16443")
    assert called.status == 2
    assert "belongs to kube-apiserver" in called.err


@pytest.mark.parametrize("arguments", [["publish", "80"], ["unpublish", "80"]])
def test_a_cluster_that_does_not_run_is_told(cluster: ClusterPaths, arguments: list[str]) -> None:
    called = call(*arguments, "--name", "test")
    assert called.status == 1
    assert "does not run" in called.err


def test_on_the_host_there_is_nothing_to_publish(cluster: ClusterPaths) -> None:
    with looks_running(cluster, kind="host"):
        assert call("publish", "80", "--name", "test").status == 2
