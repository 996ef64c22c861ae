from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import as_ordinary_user, child, descriptors

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host import socket_agent
from kubedoctor.host.agent import connect, dismiss, netlink_dump, prepare, read_option, scan_messages, udp_socket
from kubedoctor.host.kernel import sysctl

OWN_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
UP = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
SERVER = f"{UP}import socket; s = socket.create_server(('127.0.0.1', 0)); wait(s.getsockname()[1])"

ROUTE, NETFILTER = 0, 12
LINKS = struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0)  # RTM_GETLINK, a dump
TABLES = struct.pack("=IHHIIBBH", 20, (10 << 8) | 1, 0x301, 1, 0, 0, 0, 0)  # NFT_MSG_GETTABLE, a dump


@pytest.fixture(autouse=True)
def agents() -> Iterator[None]:
    yield
    dismiss()


@pytest.fixture
def sandbox() -> Iterator[tuple[int, int]]:
    """Return the pid of a process in a network of its own, and the port it listens on there."""
    with child(SERVER, prefix=OWN_NETWORK) as (process, port):
        yield process.pid, int(port)


def agent_of(net: int) -> int:
    place = socket_agent._places[net]
    assert isinstance(place, tuple)
    return socket_agent._agents[place].pid


def test_a_connection_is_made_in_the_network_of_another_process(sandbox: tuple[int, int]) -> None:
    net, port = sandbox
    prepare([0, net, net])
    with connect("127.0.0.1", port, net=net) as made:
        assert made.getpeername() == ("127.0.0.1", port)
    with pytest.raises(Silent, match=f"127.0.0.1:{port} refused the connection"):
        connect("127.0.0.1", port)


def test_our_own_network_needs_no_agent() -> None:
    prepare([os.getpid()])
    assert not socket_agent._agents
    with socket.create_server(("127.0.0.1", 0)) as server:
        for net in (0, os.getpid()):
            connect("127.0.0.1", server.getsockname()[1], net=net).close()


def test_an_ordinary_user_gets_into_their_own_sandbox() -> None:
    def look() -> tuple[int, int, str]:
        with child_of_anybody() as (pid, port):
            prepare([pid])
            connect("127.0.0.1", port, net=pid).close()
            links = netlink_dump(ROUTE, LINKS, net=pid)
            tables = netlink_dump(NETFILTER, TABLES, net=pid)
            setting = SharedLook().get(sysctl, "net.ipv4.ip_forward", pid)
            dismiss()
            return len(links), len(tables), setting

    length, tables, setting = as_ordinary_user(look)
    assert length > 0
    assert tables == 0
    assert setting in ("0", "1")


@contextlib.contextmanager
def child_of_anybody() -> Iterator[tuple[int, int]]:
    """Make a listener in a network of its own without another interpreter, which not everybody may run."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            uid = os.geteuid()
            socket_agent._libc.unshare(0x10000000 | 0x40000000)
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            with socket.socket() as control:
                import fcntl

                fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
            with socket.create_server(("127.0.0.1", 0)) as server:
                os.write(writer, str(server.getsockname()[1]).encode())
                os.close(writer)
                signal.pause()
        finally:
            os._exit(0)
    os.close(writer)
    try:
        port = os.read(reader, 16)
        assert port
        yield pid, int(port)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_somebody_elses_network_is_denied_to_an_ordinary_user(sandbox: tuple[int, int]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")

    def look() -> str:
        prepare([sandbox[0]])
        try:
            connect("127.0.0.1", sandbox[1], net=sandbox[0])
        except Denied as problem:
            return problem.reason
        return ""

    assert "needs root" in as_ordinary_user(look)


def test_an_ordinary_user_is_told_the_capability_that_lacks() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")

    def look() -> list[str]:
        reasons = []
        asks: list[Callable[[], bytes]] = [
            lambda: netlink_dump(NETFILTER, TABLES),
            lambda: read_option(socket.AF_INET, 0, 64, bytes(84)),
        ]
        for ask in asks:
            try:
                ask()
            except Denied as problem:
                reasons.append(problem.reason)
        return reasons

    assert as_ordinary_user(look) == ["needs CAP_NET_ADMIN"] * 2


def test_a_network_that_nobody_was_sent_to_or_that_has_ended_is_absent(sandbox: tuple[int, int]) -> None:
    with pytest.raises(Absent, match="no agent was sent"):
        connect("127.0.0.1", 1, net=sandbox[0])
    with child("wait('x')") as (process, _):
        pass
    prepare([process.pid])
    with pytest.raises(Absent):
        connect("127.0.0.1", 1, net=process.pid)


def test_the_network_of_a_process_is_entered_even_when_it_has_ended_since(sandbox: tuple[int, int]) -> None:
    net, port = sandbox
    prepare([net])
    os.kill(net, signal.SIGKILL)
    os.waitid(os.P_PID, net, os.WEXITED | os.WNOWAIT)
    with pytest.raises(Silent, match="refused"):
        connect("127.0.0.1", port, net=net)


def test_who_does_not_answer_costs_the_timeout() -> None:
    code = f"{UP}import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0); wait(s.getsockname()[1])"
    with child(code, prefix=OWN_NETWORK) as (process, port):
        prepare([process.pid])
        with contextlib.ExitStack() as queue:

            def fill() -> None:
                for _ in range(4):  # the queue of the listener is full after one or two
                    queue.enter_context(connect("127.0.0.1", int(port), net=process.pid, timeout=0.2))

            with pytest.raises(Silent, match=r"did not answer within 0\.2 s"):
                fill()


def test_an_agent_that_is_stopped_costs_the_timeout_and_works_again_afterwards(sandbox: tuple[int, int]) -> None:
    net, port = sandbox
    prepare([net])
    os.kill(agent_of(net), signal.SIGSTOP)
    begin = time.monotonic()
    with pytest.raises(Silent, match="agent"):
        connect("127.0.0.1", port, net=net, timeout=0.2)
    assert time.monotonic() - begin < 1
    os.kill(agent_of(net), signal.SIGCONT)
    before = len(descriptors())
    for _ in range(3):  # the late answer is not taken for the one to this
        with udp_socket(net=net) as made:
            assert made.type == socket.SOCK_DGRAM
    assert len(descriptors()) == before


def test_an_agent_that_is_dead_is_said_so(sandbox: tuple[int, int]) -> None:
    net, port = sandbox
    prepare([net])
    os.kill(agent_of(net), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(Silent, match="ended"):
            connect("127.0.0.1", port, net=net)


def test_an_agent_keeps_nothing_of_ours_open(sandbox: tuple[int, int], tmp_path: Path) -> None:
    net, _ = sandbox
    with (tmp_path / "x").open("w"):
        prepare([net])
        udp_socket(net=net).close()
        targets = descriptors(agent_of(net))
    assert all(target.startswith("socket:") for target in targets)
    assert len(targets) <= 2  # what it is asked by, and perhaps what it has just handed over


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_agents_end_with_us(sandbox: tuple[int, int], number: signal.Signals) -> None:
    net, _ = sandbox
    code = (
        "from kubedoctor.host import agent, socket_agent as s\n"
        f"agent.prepare([{net}]); agent.udp_socket(net={net}).close()\n"
        "print(next(iter(s._agents.values())).pid, flush=True); sys.stdin.read()"
    )
    with child(code, prefix=("env", f"PYTHONPATH={Path(socket_agent.__file__).parents[2]}")) as (process, agent):
        pidfd = os.pidfd_open(int(agent))
        try:
            process.send_signal(number)
            assert select.select([pidfd], [], [], 10)[0]
        finally:
            os.close(pidfd)


def test_ctrl_c_is_not_the_agents_business(sandbox: tuple[int, int]) -> None:
    net, port = sandbox
    prepare([net])
    connect("127.0.0.1", port, net=net).close()
    os.kill(agent_of(net), signal.SIGINT)
    connect("127.0.0.1", port, net=net).close()


# --- netlink ----------------------------------------------------------------------------------------------------------


def test_the_links_of_another_network_are_its_own(sandbox: tuple[int, int]) -> None:
    net, _ = sandbox
    prepare([net])
    theirs = netlink_dump(ROUTE, LINKS, net=net)
    assert theirs.count(b"lo\0") >= 1
    assert len(theirs) <= len(netlink_dump(ROUTE, LINKS))
    assert scan_messages(theirs) == (len(theirs), False, False)


def test_a_question_with_one_answer_is_answered() -> None:
    route = struct.pack("=IHHII8BI", 28, 26, 0x1, 1, 0, 2, 32, 0, 0, 0, 0, 0, 0, 0)  # RTM_GETROUTE
    route = struct.pack("=I", len(route) + 8) + route[4:] + struct.pack("=HH4s", 8, 1, bytes([127, 0, 0, 1]))
    answer = netlink_dump(ROUTE, route)
    assert struct.unpack_from("=IH", answer) == (len(answer), 24)


def test_what_the_kernel_does_not_know_is_absent_or_malformed() -> None:
    with pytest.raises(FactError):
        netlink_dump(ROUTE, struct.pack("=IHHII", 16, 0xFFF, 0x301, 1, 0), timeout=1)
    with pytest.raises(Absent):
        netlink_dump(31, LINKS)


def test_the_rules_of_legacy_iptables_are_asked_for_in_another_network(sandbox: tuple[int, int]) -> None:
    net, _ = sandbox
    prepare([net])
    try:
        info = read_option(socket.AF_INET, 0, 64, b"filter".ljust(84, b"\0"), net=net)
    except Absent:
        pytest.skip("no legacy iptables in this kernel")
    assert len(info) == 84
    assert info.startswith(b"filter\0")
    with pytest.raises(FactError):
        read_option(socket.AF_INET, 0, 64, b"no-such-table".ljust(84, b"\0"), net=net)


def test_a_setting_of_another_network_is_its_own(sandbox: tuple[int, int]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    code = "open('/proc/sys/net/ipv4/ip_default_ttl', 'w').write('77'); wait('ready')"
    with child(code, prefix=("unshare", "--net")) as (process, _):
        prepare([process.pid])
        look = SharedLook()
        assert look.get(sysctl, "net.ipv4.ip_default_ttl", process.pid) == "77"
        assert look.get(sysctl, "net.ipv4.ip_default_ttl", 0) != "77"
        with pytest.raises(Absent):
            look.get(sysctl, "net.ipv4.no_such_setting", process.pid)
        with pytest.raises(FactError):
            look.get(sysctl, f"net.{'x' * 1000}", process.pid)


@given(st.binary(max_size=200))
def test_any_bytes_for_netlink_are_an_answer_an_error_or_malformed(data: bytes) -> None:
    for message in (data, struct.pack("=IHHII", 16 + len(data), 16, 2, 0, 0) + data):
        try:
            end, _, _ = scan_messages(message)
        except (Malformed, OSError):
            continue
        assert 0 <= end <= len(message)


def test_what_is_no_address_is_malformed() -> None:
    for address, port in (("localhost", 1), ("", 1), ("127.0.0.1", 0), ("127.0.0.1", 65536), ("1.2.3.4\n", 1)):
        with pytest.raises(Malformed):
            connect(address, port)
