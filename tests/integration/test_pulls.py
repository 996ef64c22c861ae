"""Images pulled from registries of the host's loopback, by the proxy of the keeper; and what is told when it fails."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clusters import eventually, kubectl
from support.command import Kubedoctor
from support.guarded import children_of, guarded, identity_of
from support.http_server import CA, server_tls
from support.images import PROBE, probe_archive
from support.pods import applied, pod, ready
from support.registry import Registry, registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

CLIENT = """
import sys, urllib.error, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({"http": "http://127.0.0.2:3128"})).open(sys.argv[1])
except urllib.error.HTTPError as refusal:
    print(refusal.code)
"""


@dataclass(frozen=True)
class Pulling:
    """A cluster with registries: `localhost:1` plain, :2 by TLS, :3 hangs, :4 ends layers midway, :5 is not there."""

    cli: Kubedoctor
    plain: Registry
    tls: Registry


@pytest.fixture(scope="module")
def pulling(tmp_path_factory: pytest.TempPathFactory, node_binaries: dict[str, Path]) -> Iterator[Pulling]:
    directory = tmp_path_factory.mktemp("pulls")
    archive = probe_archive(directory)
    authority, _ = CA.write(directory, "ca")
    with (
        registry(archive) as plain,
        registry(archive, tls=server_tls(directory, "localhost")) as tls,
        registry(archive, fault="hang") as hanging,
        registry(archive, fault="cut") as cut,
        socket.socket() as nobody,
        guarded(directory, node_binaries) as cli,
    ):
        nobody.bind(("127.0.0.1", 0))
        mirrors = (
            f"docker.io=http://127.0.0.1:{plain.port}",
            f"localhost:1=http://127.0.0.1:{plain.port}",
            f"localhost:2=https://localhost:{tls.port}",
            f"localhost:3=http://127.0.0.1:{hanging.port}",
            f"localhost:4=http://127.0.0.1:{cut.port}",
            f"localhost:5=http://127.0.0.1:{nobody.getsockname()[1]}",
        )
        options = [word for mirror in mirrors for word in ("--registry-mirror", mirror)]
        cli.ok("up", "--node", *options, env={"SSL_CERT_FILE": authority})
        yield Pulling(cli, plain, tls)


def puller(name: str, image: str) -> dict[str, Any]:
    return pod(name, "wait", container={"image": image, "imagePullPolicy": "Always"})


def failure(cli: Kubedoctor, name: str) -> str:
    """Return why the image of a pod was not pulled, when that is known."""
    told: list[str] = []

    def known() -> bool:
        chosen = f"--field-selector=involvedObject.name={name},reason=Failed"
        events = kubectl(cli, "get", "events", chosen, "-o", "jsonpath={.items[*].message}").out
        told[:] = [events]
        return "Failed to pull image" in events

    assert eventually(known, 90), kubectl(cli, "describe", "pod", name).out[-2000:]
    return told[0]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("plain", "docker.io/library/probe:latest"),
        ("tagged", "localhost:1/some/probe:v2"),
        ("tls", "localhost:2/probe:v1"),
    ],
)
def test_pod_runs_whose_image_is_pulled_always(pulling: Pulling, name: str, image: str) -> None:
    applied(pulling.cli, puller(name, image))
    ready(pulling.cli, f"pod/{name}")
    asked = (pulling.tls if name == "tls" else pulling.plain).asked
    assert any(line.startswith("HEAD /v2/") for line in asked)
    assert not any("Proxy-Authorization" in headers for headers in pulling.plain.headers)


@pytest.mark.parametrize(
    ("name", "image", "reason"),
    [
        pytest.param(
            "hangs",  # containerd waits for its answer for 30 s, and asks twice
            "localhost:3/probe:v1",
            "timeout awaiting response headers",
            marks=pytest.mark.faults,
        ),
        ("cut", "localhost:4/probe:v1", "unexpected EOF"),
        ("refused", "localhost:5/probe:v1", "502 kubedoctor: cannot connect to localhost.:"),
        ("unnamed", "localhost:6/probe:v1", "connect: connection refused"),
    ],
)
def test_pull_that_fails_tells_why(pulling: Pulling, name: str, image: str, reason: str) -> None:
    applied(pulling.cli, puller(name, image))
    assert pulling.cli.ok("status", "-o", "json").json["phase"] == "ready", "the keeper is not stuck"
    assert reason in failure(pulling.cli, name)
    assert kubectl(pulling.cli, "delete", "pod", name, "--now").status == 0


def test_proxy_that_is_killed_is_made_again(pulling: Pulling) -> None:
    keeper = identity_of(pulling.cli, "keeper").pid
    before = children_of(keeper)["kd-pulls"]
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: children_of(keeper).get("kd-pulls", before) != before)
    applied(pulling.cli, puller("again", "localhost:1/again:v1"))
    ready(pulling.cli, "pod/again")


def test_nothing_else_inside_gets_out_by_the_proxy(pulling: Pulling) -> None:
    """It listens in no pod's own network, and who shares the sandbox's does not know the secret."""
    applied(pulling.cli, pod("far", "wait", container={"image": "localhost:1/probe:v1", "imagePullPolicy": "Always"}))
    ready(pulling.cli, "pod/far")
    refused = kubectl(pulling.cli, "exec", "far", "--", PROBE.path, "get", "http://127.0.0.2:3128")
    assert refused.status != 0
    assert "connection refused" in refused.err
    near = pulling.cli("enter", sys.executable, "-c", CLIENT, f"http://127.0.0.1:{pulling.plain.port}/v2/")
    assert near.out == "407\n", near.err


def test_down_does_not_wait_for_a_registry_that_hangs(pulling: Pulling) -> None:
    applied(pulling.cli, puller("hanging", "localhost:3/probe:v1"))
    chosen = "--field-selector=involvedObject.name=hanging,reason=Pulling"
    assert eventually(lambda: "Pulling" in kubectl(pulling.cli, "get", "events", chosen).out)
    began = time.monotonic()
    pulling.cli.ok("down")
    assert time.monotonic() - began < 15
