from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import Network, network
from support.spoilt import spoilt

from kubedoctor.facts import Malformed
from kubedoctor.host.interfaces import Address, addresses, links, parse_address, parse_addresses, parse_links

COMMANDS = (
    "ip link add br0 type bridge",
    "ip link add v0 mtu 1400 type veth peer name v1",
    "ip link set v0 master br0",
    "ip link set br0 up",
    "ip link set v0 up",
    "ip link set v1 up",
    "ip address add 10.1.0.1/16 dev br0",
    "ip address add fd00::1/64 dev br0 nodad",
    "ip address add 10.5.0.1 peer 10.5.0.2 dev v1",
)
PYROUTE2 = """
import json
from pyroute2 import IPRoute
with IPRoute() as route:
    links = [[link.get_attr("IFLA_IFNAME"), link["index"], link.get_attr("IFLA_MTU"), bool(link["flags"] & 1)]
             for link in route.get_links()]
    addresses = [[one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS"), one["prefixlen"], one["index"]]
                 for one in route.get_addr()]
print(json.dumps([links, addresses]))
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    with network(*COMMANDS) as one:
        yield one


def test_links_and_addresses_are_those_that_pyroute2_sees(made: Network) -> None:
    their_links, their_addresses = json.loads(made.python(PYROUTE2))
    ours = made.get(links, made.net)
    assert sorted([one.name, one.index, one.mtu, one.is_up] for one in ours) == sorted(their_links)
    index = {one.name: one.index for one in ours}
    found = [
        [one.address, int(one.network.partition("/")[2]), index[one.link]] for one in made.get(addresses, made.net)
    ]
    assert sorted(found) == sorted(their_addresses)


def test_a_link_says_what_it_is_and_to_what_it_belongs(made: Network) -> None:
    by_name = {one.name: one for one in made.get(links, made.net)}
    assert (by_name["lo"].kind, by_name["br0"].kind, by_name["v0"].kind) == ("loopback", "bridge", "veth")
    assert (by_name["v0"].master, by_name["v1"].master, by_name["v0"].under) == ("br0", "", "")
    assert (by_name["v0"].mtu, by_name["v0"].state) == (1400, "up")


def test_addresses_have_their_network_and_scope_ipv4_first(made: Network) -> None:
    found = made.get(addresses, made.net)
    assert Address(address="10.1.0.1", network="10.1.0.1/16", link="br0") in found
    assert Address(address="10.5.0.1", network="10.5.0.1/32", link="v1") in found
    assert {one.scope for one in found if one.address in ("127.0.0.1", "::1")} == {"host"}
    assert {one.scope for one in found if one.address.startswith("fe80")} == {"link"}
    assert [":" in one.address for one in found] == sorted(":" in one.address for one in found)


def test_links_stay_themselves_whatever_their_names_are(made: Network) -> None:
    made.run("ip", "link", "add", "a\x1b[31m", "type", "veth", "peer", "name", "bj\u00f6rn")
    names = {one.name for one in made.get(links, made.net)}
    assert {"a?[31m", "bj\u00f6rn"} <= names


@pytest.fixture(scope="module")
def dumped(made: Network) -> tuple[bytes, bytes]:
    return made.dump(0, 18, bytes(16)), made.dump(0, 22, bytes(8))


@given(change=st.data())
def test_what_is_spoilt_is_read_or_refused(dumped: tuple[bytes, bytes], change: st.DataObject) -> None:
    for data in dumped:
        broken = change.draw(spoilt(data))
        with contextlib.suppress(Malformed):
            parse_links(broken)
        with contextlib.suppress(Malformed):
            parse_addresses(broken, {})


@given(st.binary(max_size=20))
def test_an_address_has_four_bytes_or_sixteen(packed: bytes) -> None:
    assert (parse_address(packed) is not None) == (len(packed) in (4, 16))
