"""The relay between two real network namespaces: sockets made in one, connections made in the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from support.relays import TIMEOUT, RelayProcess, accept, connect, read_all, relay_process

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
]

# Makes a namespace with a loopback interface, hands out a listener and a client socket of it, and is a relay there.
INSIDE = """
import ctypes, fcntl, socket, struct, sys
from kubedoctor.cluster import kernel
from kubedoctor.cluster.channel import Channel
from kubedoctor.cluster.relay import run_relay

assert ctypes.CDLL(None).unshare(kernel.CLONE_NEWNET) == 0
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 1, 0x40
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))
end = socket.socket(fileno=int(sys.argv[1]))
channel = Channel(end)
listener, client = socket.create_server(("127.0.0.1", 6443)), socket.socket()
channel.send({"made": "inside"}, [listener.fileno(), client.fileno()])
listener.close(), client.close()
run_relay(end)
"""


class Inside:
    """A relay in a namespace, with a listening and a client socket that were made there."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        assert relay.channel.wait(TIMEOUT)
        ((_, (listener, client)),) = relay.channel.receive()
        self.listener, self.client = socket.socket(fileno=listener), socket.socket(fileno=client)
        self.client.settimeout(TIMEOUT)


@pytest.fixture
def inside() -> Iterator[Inside]:
    with relay_process(INSIDE) as relay:
        place = Inside(relay)
        with place.listener, place.client:
            yield place


def test_what_listens_inside_is_reached_through_a_listener_outside(inside: Inside) -> None:
    address = inside.relay.publish(["127.0.0.1", 6443])
    with connect(address) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        with accept(inside.listener) as served:
            assert read_all(served) == b"request"
            assert served.getpeername()[0] == "127.0.0.1"
            served.sendall(b"answer")
        assert read_all(client) == b"answer"


def test_the_port_inside_is_not_there_outside(inside: Inside) -> None:
    address = inside.relay.publish(["127.0.0.1", 6443])
    inside.listener.close()
    with connect(address) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


def test_what_listens_outside_is_reached_through_a_listener_inside(inside: Inside) -> None:
    with relay_process() as outside, socket.create_server(("127.0.0.1", 0)) as server:
        outside.publish(server.getsockname(), inside.listener)
        inside.client.connect(("127.0.0.1", 6443))
        inside.client.sendall(b"webhook?")
        with accept(server) as served:
            assert served.recv(16) == b"webhook?"
            served.sendall(b"yes")
        assert read_all(inside.client) == b"yes"
        inside.client.close()


def test_a_target_without_a_route_is_a_reset(inside: Inside) -> None:
    address = inside.relay.publish(["203.0.113.1", 80])
    with pytest.raises(ConnectionResetError), connect(address) as client:  # it can be as soon as in connecting
        client.recv(1)
