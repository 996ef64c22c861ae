from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubedoctor.host.owner import Owner, describe, owner_of


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_taken_port_is_reported_with_its_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    owner = owner_of(port)
    assert owner is not None
    assert owner.pid == os.getpid()
    assert owner.uid == os.geteuid()
    assert owner.argv
    assert owner.listening
    assert time.time() - 86400 * 365 < owner.started <= time.time() + 1
    assert owner.directory == str(Path.cwd())


def test_a_wildcard_and_a_specific_address_exclude_each_other(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert owner_of(port, "0.0.0.0") is not None
    assert owner_of(port, "::") is not None
    assert owner_of(port, "127.0.0.2") is None
    assert owner_of(port, "::1") is None


def test_an_ipv6_wildcard_holds_ipv4_too() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        owner = owner_of(server.getsockname()[1], "127.0.0.1")
        assert owner is not None
        assert owner.pid == os.getpid()


def test_the_specific_listener_is_named_before_the_wildcard() -> None:
    with socket.create_server(("127.0.0.3", 0)) as near:
        owner = owner_of(near.getsockname()[1], "127.0.0.3")
        assert owner is not None
        assert owner.address == "127.0.0.3"


def test_a_connection_that_uses_the_port_is_told_from_a_listener(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        owner = owner_of(client.getsockname()[1])
        assert owner is not None
        assert not owner.listening
        assert describe(owner).startswith("a connection of `")


def test_a_free_port_has_no_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert owner_of(port) is None


def test_another_program_is_named_by_what_it_was_started_as() -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--token=abc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        owner = owner_of(int(process.stdout.readline()))
        process.communicate("\n")
    assert owner is not None
    assert owner.pid == process.pid
    assert owner.name.startswith("python")
    assert owner.argv[-1] == "--token=…"


def test_an_owner_is_described_in_one_line() -> None:
    owner = Owner(port=1, address="::", pid=812, name="etcd", user="bob", started=1000.0, directory="/tmp/etcd-old")
    assert (
        describe(owner, now=1000.0 + 3 * 3600 + 5) == "`etcd` (pid 812, user bob, started 3 h ago, from /tmp/etcd-old)"
    )


def test_an_owner_with_a_hostile_name_cannot_steer_the_terminal() -> None:
    owner = Owner(port=1, address="::", pid=1, name="\x1b[2Jx", argv=("", "a\nb" * 100), user="bob")
    said = describe(owner)
    assert said.isprintable()
    assert len(said) < 150


def test_an_owner_that_cannot_be_seen_is_said_so() -> None:
    owner = Owner(port=1, address="::", uid=7, user="bob", reason="root can tell which")
    assert describe(owner) == "a process of user bob (root can tell which)"
    assert "gone" in describe(None)
