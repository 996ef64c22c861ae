from __future__ import annotations

import contextlib
import ipaddress
import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import Network, network
from support.spoilt import spoilt

from kubedoctor.facts import Malformed
from kubedoctor.host.routing import Route, default_routes, parse_routes, route_to, routes

COMMANDS = (
    "ip link add br0 type bridge",
    "ip link set br0 up",
    "ip address add 10.1.0.1/16 dev br0",
    "ip address add fd00::1/64 dev br0 nodad",
    "ip route add default via 10.1.0.9 metric 7",
    "ip route add default via 10.1.0.8 metric 5",
    "ip route add unreachable 10.0.0.0/24",
    "ip route add blackhole 10.0.1.0/24",
    "ip route add 10.9.0.0/16 nexthop via 10.1.0.3 nexthop via 10.1.0.4",
    "ip route add 1.2.3.0/24 dev br0 table 77",
    "ip route add default dev lo table 1000",
    "ip -6 route add default via fd00::9",
    "ip -6 route add blackhole fd01::/16",
)
PYROUTE2 = """
import json
from pyroute2 import IPRoute
with IPRoute() as route:
    print(json.dumps([[one["family"], one.get_attr("RTA_DST"), one["dst_len"], one.get_attr("RTA_TABLE"), one["type"],
                       one.get_attr("RTA_GATEWAY"), one.get_attr("RTA_PRIORITY") or 0]
                      for one in route.get_routes() if one.get_attr("RTA_TABLE") != 255]))
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    with network(*COMMANDS) as one:
        yield one


@pytest.fixture(scope="module")
def found(made: Network) -> tuple[Route, ...]:
    return made.get(routes, made.net)


def test_routes_are_those_that_pyroute2_sees(made: Network, found: tuple[Route, ...]) -> None:
    kinds = {1: "unicast", 5: "multicast", 6: "blackhole", 7: "unreachable"}
    theirs = {
        (f"{destination or ('0.0.0.0' if family == 2 else '::')}/{length}", kinds[kind], gateway or "", metric, table)
        for family, destination, length, table, kind, gateway, metric in json.loads(made.python(PYROUTE2))
        if kinds[kind] != "multicast"
    }
    several = ("10.9.0.0/16", "10.1.0.3")  # pyroute2 tells the gateways of several next hops apart
    ours = {
        (one.destination, one.kind, "" if (one.destination, one.gateway) == several else one.gateway, *rest)
        for one in found
        for rest in [(one.metric, one.table)]
    }
    assert ours == theirs


def test_the_default_route_is_the_one_with_the_smallest_metric(found: tuple[Route, ...]) -> None:
    assert [one.gateway for one in default_routes(found)] == ["10.1.0.8", "10.1.0.9"]
    assert [one.gateway for one in default_routes(found, 6)] == ["fd00::9"]
    assert sorted(one.table for one in found if one.is_default) == [254, 254, 254, 1000]


def test_a_route_has_its_interface_source_and_first_next_hop(found: tuple[Route, ...]) -> None:
    by_destination = {one.destination: one for one in found}
    assert (by_destination["10.1.0.0/16"].link, by_destination["10.1.0.0/16"].source) == ("br0", "10.1.0.1")
    assert (by_destination["10.9.0.0/16"].gateway, by_destination["10.9.0.0/16"].link) == ("10.1.0.3", "br0")


def test_the_route_to_an_address_is_the_kernels(made: Network, found: tuple[Route, ...]) -> None:
    chance = random.Random(7)
    wanted = [f"10.{chance.randint(0, 12)}.{chance.randint(0, 2)}.{chance.randint(2, 254)}" for _ in range(40)]
    for address in [*wanted, "fd00::77", "2001:db8::1"]:
        route = route_to(found, address)
        assert route is not None
        if route.kind == "unicast":
            told = made.run("ip", "-oneline", "route", "get", address).split()
            via = told[told.index("via") + 1] if "via" in told else ""
            assert (told[told.index("dev") + 1], via) in {(route.link, route.gateway), (route.link, "10.1.0.4")}
    assert [route_to(found, one) and route_to(found, one).kind for one in ("10.0.0.1", "10.0.1.1", "fd01::1")] == [  # type: ignore[union-attr]
        "unreachable",
        "blackhole",
        "blackhole",
    ]


def test_there_may_be_no_route() -> None:
    with network() as alone:
        found = alone.get(routes, alone.net)
        assert default_routes(found) == default_routes(found, 6) == ()
        assert route_to(found, "10.0.0.1") is None


ROUTE_TABLE = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 3)).map(
        lambda one: Route(
            destination=str(ipaddress.ip_network((one[0], one[1]), strict=False)), metric=one[2], link="eth0"
        )
    ),
    max_size=8,
)


@given(ROUTE_TABLE, st.integers(0, 2**32 - 1))
def test_the_longest_prefix_wins_and_then_the_smallest_metric(table: list[Route], number: int) -> None:
    address = ipaddress.ip_address(number)
    fitting = [one for one in table if address in ipaddress.ip_network(one.destination)]
    chosen = route_to(table, str(address))
    if not fitting:
        assert chosen is None
    else:
        assert chosen is not None
        best = max(ipaddress.ip_network(one.destination).prefixlen for one in fitting)
        longest = [one for one in fitting if ipaddress.ip_network(one.destination).prefixlen == best]
        assert chosen in longest
        assert chosen.metric == min(one.metric for one in longest)


@pytest.fixture(scope="module")
def dumped(made: Network) -> bytes:
    return made.dump(0, 26, bytes(12))


@given(change=st.data())
def test_what_is_spoilt_is_read_or_refused(dumped: bytes, change: st.DataObject) -> None:
    with contextlib.suppress(Malformed):
        for one in parse_routes(change.draw(spoilt(dumped)), {}):
            ipaddress.ip_network(one.destination)
