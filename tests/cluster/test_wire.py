"""What the plan says of the wire to the host, and how wires are numbered."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.planning import plan

from kubedoctor.cluster import ways, wire
from kubedoctor.cluster.documents import Wire
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import ConfigError


def test_there_is_no_wire_unless_somebody_wants_it() -> None:
    assert plan().wire is None
    assert plan(uplink=True).wire == Wire(uplink=True)
    assert plan(attach=True).wire == Wire(routes=("10.1.0.0/24", "10.0.0.0/24"))


def test_ranges_of_both_families_are_attached_as_far_as_the_wire_goes() -> None:
    made = plan(attach=True, cluster_cidr="10.5.0.0/16,fd00::/56", service_cluster_ip_range="10.6.0.0/24,fd01::/112")
    assert made.wire == Wire(routes=("10.5.0.0/24", "10.6.0.0/24"))


def test_names_outside_are_asked_for_where_there_is_a_way_out() -> None:
    def corefile(*, uplink: bool) -> str:
        (coredns,) = (one for one in plan(node=True, uplink=uplink).manifests if one.name == "coredns")
        return next(str(one["data"]["Corefile"]) for one in coredns.objects if one["kind"] == "ConfigMap")

    assert "rcode NXDOMAIN" in corefile(uplink=False)
    assert "forward . /etc/resolv.conf" in corefile(uplink=True)


@given(st.integers(0, wire.MOST - 1))
def test_each_wire_has_four_addresses_and_a_name_that_the_kernel_takes(number: int) -> None:
    numbered = wire.Numbered(number)
    block = ipaddress.IPv4Network(f"{numbered.host}/30", strict=False)
    assert block.subnet_of(ipaddress.IPv4Network("198.19.0.0/16"))
    assert [str(address) for address in block.hosts()] == [numbered.host, numbered.inside]
    assert int(block.network_address) - int(ipaddress.ip_address("198.19.0.0")) == 4 * number
    assert len(numbered.interface) < 16


@pytest.mark.parametrize("wish", [{"uplink": True}, {"attach": True}])
def test_wires_are_for_root_and_for_sandboxes(wish: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    option = f"--{next(iter(wish))}"
    with pytest.raises(ConfigError, match=f"{option} is for a sandbox"):
        ways.require(ClusterConfig(place_kind=PlaceKind.HOST, **wish))  # type: ignore[arg-type]
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match=f"{option} needs root"):
        ways.require(ClusterConfig(**wish))  # type: ignore[arg-type]


def test_nothing_is_asked_where_nothing_is_wished_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    ways.require(ClusterConfig())
