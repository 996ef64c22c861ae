"""In and out of a sandbox with real components: webhooks of the host, and what clients do through a published port."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO

import httpx
import pytest
from support.clusters import commands, eventually, kubectl
from support.command import Kubedoctor
from support.webhook import Webhook, webhook

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MEBIBYTE = 1 << 20
ECHO = """
import hashlib, socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
came = hashlib.blake2b()
with connection:
    while part := connection.recv(1 << 20):
        came.update(part)
        connection.sendall(part)
print(came.hexdigest(), flush=True)
"""


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with webhook(tmp_path_factory.mktemp("webhook"), "hook", "127.0.0.1") as served:
        yield served


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as cli:
        yield cli


def child(cli: Kubedoctor, owner: str, comm: str = "kd-relay") -> int:
    """Return the pid of the relay that keeper or supervisor has."""
    parent = cli.ok("status", "-o", "json").json["places"][0][owner]["pid"]
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (found,) = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == comm]
    return found


def labelled(name: str, label: str = "fine") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {label: "yes"}}}


@pytest.mark.parametrize("name", ["hook", ""])
def test_webhook_on_the_hosts_loopback_judges_objects(cli: Kubedoctor, hook: Webhook, name: str) -> None:
    cli.ok("up", "--reach", f"{name}={hook.port}" if name else str(hook.port))
    configuration = hook.configuration(name or "127.0.0.1")
    assert kubectl(cli, "create", "-f", "-", stdin=configuration).status == 0

    def refused() -> bool:
        done = kubectl(cli, "create", "--dry-run=server", "-f", "-", stdin=labelled("bad", "refuse"))
        return done.status != 0 and "the webhook said no" in done.err

    assert eventually(refused), "kube-apiserver learns of the webhook from a watch of its own"
    allowed = kubectl(cli, "create", "-f", "-", stdin=labelled("good"))
    assert allowed.status == 0, allowed.err
    assert {"bad", "good"} <= set(hook.asked)

    os.kill(child(cli, "keeper"), signal.SIGKILL)
    assert kubectl(cli, "create", "-f", "-", stdin=labelled("later")).status == 0, "the relay was not made again"
    assert hook.asked[-1] == "later"


def test_webhook_that_does_not_listen_is_told_as_such(cli: Kubedoctor, hook: Webhook) -> None:
    dead = replace(hook, port=hook.port, asked=[])
    cli.ok("up", "--reach", "hook=1")
    configuration = dead.configuration("hook")
    configuration["webhooks"][0]["clientConfig"]["url"] = "https://hook:1/admit"
    assert kubectl(cli, "create", "-f", "-", stdin=configuration).status == 0

    def told() -> bool:
        done = kubectl(cli, "create", "--dry-run=server", "-f", "-", stdin=labelled("any"))
        return done.status != 0 and "failed calling webhook" in done.err

    assert eventually(told)


def descriptors(pid: int) -> list[str]:
    """Return what is open in a process; other than their number, it tells one that is left from one that was there."""
    return sorted(str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())


@contextlib.contextmanager
def inside(cli: Kubedoctor, program: str) -> Iterator[IO[str]]:
    """Run a Python program inside the sandbox and yield what it prints; it ends well by itself, or with the test."""
    with cli.popen("enter", sys.executable, "-c", program) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
            assert process.wait(20) == 0
        finally:
            process.terminate()


def test_a_gibibyte_to_a_published_port_and_back_leaves_no_descriptor(cli: Kubedoctor) -> None:
    cli.ok("up")
    relay = child(cli, "supervisor")
    with inside(cli, ECHO) as printed:
        address = cli.ok("publish", printed.readline().strip()).out.strip()
        host, _, port = address.rpartition(":")
        before = descriptors(relay)
        sent, came, size = hashlib.blake2b(), hashlib.blake2b(), 0
        with socket.create_connection((host, int(port)), timeout=120) as client, ThreadPoolExecutor(1) as thread:

            def send() -> None:
                block = os.urandom(MEBIBYTE)
                for number in range(1024):
                    part = number.to_bytes(8, "big") + block[8:]
                    sent.update(part)
                    client.sendall(part)
                client.shutdown(socket.SHUT_WR)

            sending = thread.submit(send)
            while part := client.recv(MEBIBYTE):
                came.update(part)
                size += len(part)
            sending.result()
        assert size == 1 << 30
        assert sent.hexdigest() == came.hexdigest() == printed.readline().strip()
    assert eventually(lambda: descriptors(relay) == before), "descriptors are left"
    cli.ok("unpublish", port)
    assert eventually(lambda: len(descriptors(relay)) == len(before) - 1), "the listener is left"


def client(cli: Kubedoctor) -> httpx.AsyncClient:
    """Return a client of HTTP/2 that is the administrator; one connection serves all its requests."""
    pki = cli.home / "clusters" / "local" / "pki"
    context = ssl.create_default_context(cafile=str(pki / "server-ca.crt"))
    context.load_cert_chain(pki / "client-admin.crt", pki / "client-admin.key")
    url = f"https://127.0.0.1:{cli.env['API_SECURE_PORT']}"
    return httpx.AsyncClient(http2=True, verify=context, base_url=url, timeout=30, trust_env=False)


async def names(response: httpx.Response) -> AsyncIterator[str]:
    """Yield the name of each object a watch tells of."""
    async for line in response.aiter_lines():
        yield json.loads(line)["object"]["metadata"]["name"]


async def heard(stream: AsyncIterator[str], name: str) -> None:
    async for told in stream:
        if told == name:
            return
    raise AssertionError(f"the watch ended before it told of {name}")


async def watches(cli: Kubedoctor, clients: list[httpx.AsyncClient], each: int, relay: int) -> None:
    """Watch with *each* streams on every connection, see an object come, then see all of them break with the relay."""
    async with contextlib.AsyncExitStack() as stack:
        streams = []
        for one in clients:
            for _ in range(each):
                request = one.stream("GET", CONFIGMAPS, params={"watch": "1"})
                response = await stack.enter_async_context(request)
                assert (response.status_code, response.http_version) == (200, "HTTP/2")
                streams.append(names(response))
        for number in range(3):
            created = await clients[0].post(CONFIGMAPS, json=labelled(f"seen-{number}"))
            assert created.status_code == 201, created.text
            await asyncio.wait_for(asyncio.gather(*(heard(s, f"seen-{number}") for s in streams)), 30)
        os.kill(relay, signal.SIGKILL)
        broken = await asyncio.wait_for(
            asyncio.gather(*(heard(s, "never") for s in streams), return_exceptions=True), 30
        )
        assert all(isinstance(one, (httpx.TransportError, AssertionError)) for one in broken), broken


def test_fifty_watches_over_http2_break_with_the_relay_and_new_ones_work(cli: Kubedoctor) -> None:
    cli.ok("up")

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client(cli)) for _ in range(10)]
            await watches(cli, clients, 5, child(cli, "supervisor"))
        async with client(cli) as another:  # at once: the listener outlives its relay
            assert (await another.get("/readyz")).text == "ok"
            async with another.stream("GET", CONFIGMAPS, params={"watch": "1"}) as response:
                await asyncio.wait_for(heard(names(response), "seen-2"), 30)

    asyncio.run(scenario())
    relay = child(cli, "supervisor")
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok"
    fewest = len(list(Path(f"/proc/{relay}/fd").iterdir()))

    async def many() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(30):
                one = await stack.enter_async_context(client(cli))
                assert (await one.get("/readyz")).text == "ok"
            assert len(list(Path(f"/proc/{relay}/fd").iterdir())) >= fewest + 30

    assert eventually(lambda: len(list(Path(f"/proc/{relay}/fd").iterdir())) <= fewest)
    asyncio.run(many())
    assert eventually(lambda: len(list(Path(f"/proc/{relay}/fd").iterdir())) <= fewest), "descriptors are left"
