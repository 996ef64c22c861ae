"""What a relayed connection does, is what a direct one does."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.relays import TIMEOUT, RelayProcess, accept, connect, fill, pattern, read_all, relay_process, reset

MEBIBYTE = 1 << 20


@pytest.fixture
def relay() -> Iterator[RelayProcess]:
    with relay_process() as running:
        yield running


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        yield listening


@pytest.fixture
def pair(relay: RelayProcess, server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    with connect(relay.publish(server.getsockname())) as client, accept(server) as served:
        yield client, served


def exchange(client: socket.socket, served: socket.socket) -> None:
    client.sendall(b"ping")
    assert served.recv(16) == b"ping"
    served.sendall(b"pong")
    assert client.recv(16) == b"pong"


def send_hashed(connection: socket.socket, mebibytes: int, seed: int) -> str:
    digest = hashlib.blake2b()
    block = random.Random(seed).randbytes(MEBIBYTE)
    for number in range(mebibytes):
        part = number.to_bytes(8, "big") + block[number % 4096 :]
        digest.update(part)
        connection.sendall(part)
    connection.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def receive_hashed(connection: socket.socket) -> str:
    digest = hashlib.blake2b()
    while part := connection.recv(MEBIBYTE):
        digest.update(part)
    return digest.hexdigest()


def move_both_ways(client: socket.socket, served: socket.socket, mebibytes: int) -> None:
    with ThreadPoolExecutor(4) as threads:
        sent_up = threads.submit(send_hashed, client, mebibytes, 1)
        sent_down = threads.submit(send_hashed, served, mebibytes, 2)
        received_up = threads.submit(receive_hashed, served)
        received_down = threads.submit(receive_hashed, client)
        assert received_up.result() == sent_up.result()
        assert received_down.result() == sent_down.result()


def test_64_mebibytes_each_way_at_the_same_time_arrive_unchanged(pair: tuple[socket.socket, socket.socket]) -> None:
    move_both_ways(*pair, mebibytes=64)


@pytest.mark.integration
def test_a_gigabyte_arrives_unchanged(pair: tuple[socket.socket, socket.socket]) -> None:
    client, served = pair
    with ThreadPoolExecutor(2) as threads:
        sent = threads.submit(send_hashed, client, 1024, 3)
        assert threads.submit(receive_hashed, served).result() == sent.result()


@given(
    turns=st.lists(st.tuples(st.booleans(), st.integers(1, 200_000), st.integers(1, 100_000)), max_size=12),
    ends=st.sampled_from(["client first", "server first"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_writes_arrives_in_order(
    relay: RelayProcess, server: socket.socket, turns: list[tuple[bool, int, int]], ends: str
) -> None:
    with connect(relay.publish(server.getsockname())) as client, accept(server) as served:
        written = {True: bytearray(), False: bytearray()}
        read = {True: bytearray(), False: bytearray()}
        for upwards, size, wanted in turns:
            source, sink = (client, served) if upwards else (served, client)
            data = os.urandom(size)
            source.sendall(data)
            written[upwards] += data
            read[upwards] += sink.recv(wanted)
        first, second = (client, served) if ends == "client first" else (served, client)
        first.shutdown(socket.SHUT_WR)
        read[first is client] += read_all(second)
        second.sendall(b"an answer after the end")
        written[second is client] += b"an answer after the end"
        second.shutdown(socket.SHUT_WR)
        read[second is client] += read_all(first)
        assert read == written


def test_a_request_that_ends_before_its_answer_gets_the_answer(pair: tuple[socket.socket, socket.socket]) -> None:
    client, served = pair
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    assert read_all(served) == b"request"
    served.sendall(b"answer")
    served.close()
    assert read_all(client) == b"answer"


def test_the_server_may_end_its_direction_first(pair: tuple[socket.socket, socket.socket]) -> None:
    client, served = pair
    served.sendall(b"greeting")
    served.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"greeting"
    client.sendall(b"still here")
    client.close()
    assert read_all(served) == b"still here"


@pytest.mark.parametrize("from_client", [True, False])
def test_a_reset_of_one_side_resets_the_other(pair: tuple[socket.socket, socket.socket], from_client: bool) -> None:
    client, served = pair
    exchange(client, served)
    reset(client if from_client else served)
    with pytest.raises(ConnectionResetError):
        (served if from_client else client).recv(1)


@pytest.mark.parametrize("from_client", [True, False])
def test_a_reset_is_seen_while_the_other_side_does_not_read(
    pair: tuple[socket.socket, socket.socket], from_client: bool
) -> None:
    source, sink = pair if from_client else pair[::-1]
    fill(source)
    reset(source)
    sink.settimeout(TIMEOUT)
    with pytest.raises(ConnectionResetError):
        read_all(sink)


def test_a_target_that_refuses_is_a_reset_not_silence(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    server.close()
    with pytest.raises(ConnectionResetError), connect(address) as client:  # it may come before `connect` returns
        client.recv(1)


@pytest.mark.parametrize("listening", ["127.0.0.1", "127.0.0.2"])
def test_where_nobody_listens_at_one_address_the_other_is_tried(relay: RelayProcess, listening: str) -> None:
    with socket.create_server((listening, 0)) as server:
        address = relay.publish(("127.0.0.1", server.getsockname()[1]), instead="127.0.0.2")
        with connect(address) as client, accept(server) as served:
            assert served.getsockname()[0] == listening
            exchange(client, served)
    with pytest.raises(ConnectionResetError), connect(address) as client:  # it may come before `connect` returns
        client.recv(1)


def test_a_target_that_hangs_in_connect_keeps_nobody_waiting(relay: RelayProcess, server: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, connect(full.getsockname()):
        # Its backlog of one is taken: the kernel drops every further SYN.
        hanging = [connect(relay.publish(full.getsockname())) for _ in range(3)]
        with connect(relay.publish(server.getsockname())) as client, accept(server) as served:
            relay.settle()
            before = relay.sockets()
            for waiting in hanging:
                assert not select.select([waiting], [], [], 0)[0]
                reset(waiting)
            exchange(client, served)
            relay.settle()
            assert relay.sockets() == before - 6  # those that gave up are forgotten


def test_a_request_sent_while_the_target_is_being_connected_arrives(relay: RelayProcess, tmp_path: Path) -> None:
    path = str(tmp_path / "server.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        early = connect(path)  # the backlog is full; unix sockets give no event when there is room
        address = relay.publish([path, 0])
        with connect(address) as client, connect(address) as other:
            client.sendall(b"early")
            other.sendall(b"early")
            client.shutdown(socket.SHUT_WR)
            other.shutdown(socket.SHUT_WR)
            early.close()
            with accept(server):
                pass
            for _ in range(2):
                with accept(server) as served:
                    assert read_all(served) == b"early"


def test_a_slow_reader_holds_its_sender_back_and_nobody_else(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    relay.settle()
    resident = relay.status("RssAnon")
    stuck = []
    for _ in range(12):  # more than there are large buffers
        client = connect(address)
        stuck.append((client, accept(server), fill(client)))
    assert relay.status("RssAnon") - resident < 10 << 10  # KiB: four buffers of 2 MiB and a little for each
    assert relay.is_quiet(0.3)
    with connect(address) as client, accept(server) as served:
        exchange(client, served)
    for client, served, count in stuck:
        client.close()
        assert read_all(served) == pattern(count)
        served.close()
    relay.settle()
    assert relay.status("RssAnon") - resident < 3 << 10  # at most one is kept for those that are still there


def test_500_connections_at_once_are_served_and_leave_nothing(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    relay.settle()
    before = relay.sockets()
    clients = [connect(address) for _ in range(500)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    served = [accept(server) for _ in clients]
    for connection in served:
        connection.sendall(connection.recv(16) + b"!")
    assert [client.recv(16) for client in clients] == [b"%d!" % number for number in range(500)]
    assert relay.sockets() == before + 1000
    for client in clients:
        client.close()
    for connection in served:
        assert connection.recv(1) == b""
        connection.close()
    relay.settle()
    assert relay.sockets() == before


def test_with_few_descriptors_connections_wait_their_turn_and_all_are_served(server: socket.socket) -> None:
    with relay_process(limit=32) as relay:
        address = relay.publish(server.getsockname())
        clients = [connect(address) for _ in range(100)]
        for client in clients:
            client.sendall(b"request")
        for client in clients:
            with accept(server) as served:
                assert served.recv(16) == b"request"
                served.sendall(b"answer")
            assert read_all(client) == b"answer"
            client.close()


def test_while_out_of_descriptors_it_does_not_spin(server: socket.socket) -> None:
    with relay_process(limit=16) as relay:
        address = relay.publish(server.getsockname())
        clients = [connect(address) for _ in range(10)]
        served = [accept(server) for _ in range((16 - 3 - 3) // 2)]  # without stdio, epoll, channel and listener
        assert relay.is_quiet(0.5)
        for connection in [*clients, *served]:
            connection.close()


def test_idle_connections_cost_two_descriptors_and_no_time(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    relay.settle()
    before = relay.sockets()
    idle = [(connect(address), accept(server)) for _ in range(20)]
    for pair in idle:
        exchange(*pair)
    assert relay.sockets() == before + 40
    assert relay.is_quiet(0.5)
    for connections in idle:
        exchange(*connections)
        for connection in connections:
            connection.close()


def test_two_ended_directions_with_bytes_on_the_way_cost_no_time(
    pair: tuple[socket.socket, socket.socket], relay: RelayProcess
) -> None:
    client, served = pair
    count = fill(client)
    served.shutdown(socket.SHUT_WR)
    assert read_all(client) == b""
    client.shutdown(socket.SHUT_WR)
    read = 0
    while unacknowledged(client):  # until the end itself has come to the relay, behind bytes that it cannot pass on yet
        read += len(served.recv(1 << 18))
    assert relay.is_quiet(0.3)
    assert read < count
    assert read + len(read_all(served)) == count


def unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes, the end of the stream counted as one, the kernel of the other side has not taken yet."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def test_a_small_request_does_not_wait_for_a_bulk_transfer(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    with connect(address) as bulk, accept(server) as sink, connect(address) as client, accept(server) as served:
        sending = subprocess.Popen(["cat", "/dev/zero"], stdout=bulk.fileno())
        receiving = subprocess.Popen(["cat"], stdin=sink.fileno(), stdout=subprocess.DEVNULL)
        try:
            for _ in range(50):
                exchange(client, served)
        finally:
            for process in (sending, receiving):
                process.kill()
                process.wait()


def test_unix_sockets_on_both_sides(relay: RelayProcess, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as listener:
        server.bind(str(tmp_path / "target.sock"))
        server.listen()
        listener.bind(str(tmp_path / "listener.sock"))
        listener.listen()
        relay.publish([str(tmp_path / "target.sock"), 0], listener)
        with connect(str(tmp_path / "listener.sock")) as client, accept(server) as served:
            move_both_ways(client, served, mebibytes=4)
        with connect(str(tmp_path / "listener.sock")) as client:
            client.sendall(b"said and gone")
        with accept(server) as served:
            assert read_all(served) == b"said and gone"


def test_ipv6_on_both_sides(relay: RelayProcess) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        address = relay.publish(
            ["::1", server.getsockname()[1]], socket.create_server(("::1", 0), family=socket.AF_INET6)
        )
        with connect(address) as client, accept(server) as served:
            exchange(client, served)


def test_a_removed_listener_refuses_and_its_connections_go_on(relay: RelayProcess, server: socket.socket) -> None:
    address = relay.publish(server.getsockname())
    with connect(address) as client, accept(server) as served:
        exchange(client, served)
        relay.channel.send({"relay": "remove", "outside": address[1]})
        relay.settle()
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        exchange(client, served)


@pytest.mark.parametrize(
    "message",
    [
        {"relay": "dance", "outside": 1},
        {"relay": "remove", "outside": 1},
        {"relay": "remove"},
        {"relay": "add", "outside": 1, "target": ["127.0.0.1", 80]},
        {"relay": "add", "outside": 1, "target": ["localhost", 80], "with": 1},
        {"relay": "add", "outside": 1, "target": ["127.0.0.1", 70000], "with": 1},
        {"relay": "add", "outside": 1, "target": ["/" + "x" * 200, 0], "with": 1},
        {"relay": "add", "outside": 1, "target": ["127.0.0.1", 80], "with": 2},
        {},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_and_harms_nothing(server: socket.socket, message: dict[str, object]) -> None:
    with relay_process() as relay:
        relay.settle()
        before = relay.sockets()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            relay.channel.send(message, [listener.fileno()] * int(str(message.get("with", 0))))
        relay.settle()
        assert relay.sockets() == before
        assert len(relay.end().splitlines()) == 1


def test_a_socket_that_does_not_listen_and_a_file_are_not_served() -> None:
    with relay_process() as relay:
        with socket.socket() as unbound, Path("/dev/null").open() as file:
            for descriptor in (unbound.fileno(), file.fileno()):
                relay.channel.send({"relay": "add", "outside": 1, "target": ["127.0.0.1", 80]}, [descriptor])
        relay.settle()
        said = relay.end()
        assert "no listening stream socket" in said
        assert "non-socket" in said


def test_the_end_of_the_channel_resets_what_is_under_way(relay: RelayProcess, server: socket.socket) -> None:
    with connect(relay.publish(server.getsockname())) as client, accept(server) as served:
        exchange(client, served)
        assert relay.end() == ""
        for connection in (client, served):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


FORKS = """
import os, socket, sys
from kubedoctor.cluster.relay import run_relay
ours, theirs = socket.socketpair()
ours.set_inheritable(True)
secret = os.open("/dev/zero", os.O_RDONLY)
pid = os.fork()
if pid == 0:
    run_relay(theirs)
theirs.close()
print(pid, flush=True)
sys.stdin.read()
os._exit(0)
"""


def open_in(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it closes them meanwhile
            found.append(str(entry.readlink()))
    return found


def test_a_forked_relay_keeps_nothing_of_its_parent_and_dies_with_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    handle = os.pidfd_open(pid)
    with os.fdopen(handle, "rb", buffering=0) as watched:
        # It names itself before it closes what it inherited, and makes its epoll after that: wait for the last step.
        descriptors: list[str] = []
        while not any("eventpoll" in each for each in descriptors):
            descriptors = open_in(pid)
        assert len([each for each in descriptors if each.startswith("socket:")]) == 1
        assert "/dev/zero" not in descriptors
        assert Path(f"/proc/{pid}/comm").read_text() == "kd-relay\n"
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
        assert select.select([watched], [], [], TIMEOUT)[0]
