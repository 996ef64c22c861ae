from __future__ import annotations

import contextlib
import os
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.children import UID, as_ordinary_user, child

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.owner import Owner, describe
from kubedoctor.host.sockets import Listener, find_listener, listeners, parse_table

OWN_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
UP = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"


def here(net: int = 0) -> tuple[Listener, ...]:
    return SharedLook().get(listeners, net)


def test_a_listener_is_told_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = find_listener(here(), "127.0.0.1", server.getsockname()[1])
    assert found is not None
    assert (found.protocol, found.address, found.uid) == ("tcp", "127.0.0.1", os.geteuid())
    assert (found.owner.pid, found.owner.uid) == (os.getpid(), os.geteuid())
    assert f"pid {os.getpid()}, user" in describe(found.owner)


def test_a_wildcard_and_a_specific_address_exclude_each_other_and_the_nearest_is_named() -> None:
    with socket.create_server(("127.0.0.3", 0)) as server:
        port = server.getsockname()[1]
        found = here()
        assert find_listener(found, "0.0.0.0", port) is not None
        assert find_listener(found, "::", port) is not None
        assert find_listener(found, "127.0.0.1", port) is None
        assert find_listener(found, "127.0.0.3", port, "udp") is None
        assert find_listener(found, "127.0.0.3", port + 1) is None
    with pytest.raises(Malformed):
        find_listener((), "localhost", 1)


def test_an_ipv4_address_in_an_ipv6_socket_is_an_ipv4_address() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        found = find_listener(here(), "127.0.0.1", server.getsockname()[1])
    assert found is not None
    assert found.address == "127.0.0.1"


def test_udp_sockets_that_anybody_may_write_to_are_listeners() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        found = here()
        assert find_listener(found, "127.0.0.1", server.getsockname()[1], "udp") is not None
        assert find_listener(found, "127.0.0.1", client.getsockname()[1], "udp") is None


def test_connections_are_no_listeners() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert find_listener(here(), "127.0.0.1", client.getsockname()[1]) is None


def test_the_listeners_of_another_network_namespace_are_its_own() -> None:
    code = f"{UP}import socket; s = socket.create_server(('127.0.0.1', 0)); wait(s.getsockname()[1])"
    with child(code, prefix=OWN_NETWORK) as (process, port):
        (found,) = here(process.pid)
        assert (found.port, found.owner.pid) == (int(port), process.pid)
        mine = find_listener(here(), "127.0.0.1", int(port))
        assert mine is None or mine.owner.pid != process.pid
    process.wait()
    with pytest.raises(Absent):
        here(process.pid)


def test_a_process_that_we_may_not_look_into_is_said_to_be_unknown() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.set_inheritable(server.fileno(), False)
        port = server.getsockname()[1]
        code = "import socket; s = socket.create_server(('127.0.0.1', 0)); wait(s.getsockname()[1])"
        with child(code) as (_, other):
            found = as_ordinary_user(lambda: find_listener(here(), "127.0.0.1", int(other)))
            assert found is not None
            assert found.owner == Owner(
                port=int(other), address="127.0.0.1", uid=0, user="root", reason="root can tell which"
            )
        assert port != int(other)


def test_the_user_of_a_socket_is_its_makers() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    code = f"import os, socket; os.setuid({UID}); s = socket.create_server(('127.0.0.1', 0)); wait(s.getsockname()[1])"
    with child(code) as (process, port):
        found = find_listener(here(), "127.0.0.1", int(port))
    assert found is not None
    assert (found.uid, found.owner.uid, found.owner.user, found.owner.pid) == (UID, UID, str(UID), process.pid)


def seconds_for(count: int) -> float:
    code = (
        f"{UP}import resource, socket; resource.setrlimit(resource.RLIMIT_NOFILE, ({count + 50},) * 2)\n"
        f"l = [socket.socket() for _ in range({count})]\n"
        f"for n, s in enumerate(l): s.bind(('127.0.%d.%d' % (n // 250, n % 250 + 1), 6443)); s.listen(1)\n"
        "wait('ready')"
    )
    with child(code, prefix=OWN_NETWORK) as (process, _):
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            found = here(process.pid)
            best = min(best, time.process_time() - begin)
            assert len(found) == count
            assert {one.owner.pid for one in found} == {process.pid}
    return best


def test_ten_thousand_sockets_take_their_share_of_the_time() -> None:
    few, many = seconds_for(2500), seconds_for(10_000)
    assert many < few * 4 * 2  # linear, with room for what else this machine does


# --- the tables -------------------------------------------------------------------------------------------------------

TCP = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    b"   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 ffff 100\n"
)


def test_a_table_is_read_as_the_kernel_writes_it() -> None:
    (entry,) = parse_table(TCP, "tcp")
    assert (entry.address, entry.port, entry.uid, entry.inode) == ("127.0.0.1", 6443, 1000, 4242)


@given(st.binary() | st.binary().map(lambda data: b"\n" + data[:9] + b" 0A " + data))
def test_what_is_no_table_is_malformed(data: bytes) -> None:
    for text in (data, TCP + data, TCP.replace(b"0100007F", data[:8]), TCP.replace(b"4242", data[:8])):
        with contextlib.suppress(Malformed):
            parse_table(text, "tcp")
