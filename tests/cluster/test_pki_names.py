"""The names kube-apiserver's certificate is made out for."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import ConfigError


def test_defaults_cover_service_loopback_place_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="machine"))
    assert ClusterConfig().api_server_names() == (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "machine",
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "198.18.0.1",
    )


def test_everything_the_user_names_is_covered() -> None:
    config = ClusterConfig(
        dns_domain="corp.test",
        api_host="api.corp.test",
        external_hostname="ext.corp.test",
        api_host_ip="192.0.2.7",
        advertise_address="192.0.2.8",
        first_service_cluster_ip="10.0.0.3",
        place_kind=PlaceKind.HOST,
    )
    wanted = {
        "kubernetes.default.svc.corp.test",
        "api.corp.test",
        "ext.corp.test",
        "192.0.2.7",
        "192.0.2.8",
        "10.0.0.3",
    }
    assert wanted <= set(config.api_server_names())
    assert config.first_service_address == "10.0.0.3"


def test_wildcard_addresses_are_no_names() -> None:
    names = ClusterConfig(api_host_ip="0.0.0.0", api_bind_address="::").api_server_names()
    assert not {"0.0.0.0", "::", ""} & set(names)


def test_machine_without_a_usable_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="(none)"))
    assert "(none)" not in ClusterConfig().api_server_names()


@pytest.mark.parametrize(
    ("service_range", "first"),
    [("10.0.0.0/24", "10.0.0.1"), ("10.96.0.0/12,fd00:10::/108", "10.96.0.1"), ("10.0.0.7/24", "10.0.0.1")],
)
def test_first_service_address_is_the_first_of_the_range(service_range: str, first: str) -> None:
    assert ClusterConfig(service_cluster_ip_range=service_range).first_service_address == first


def test_first_address_of_each_family_is_a_name() -> None:
    names = ClusterConfig(service_cluster_ip_range="10.0.0.0/24,fd00:10::/108").api_server_names()
    assert {"10.0.0.1", "fd00:10::1"} <= set(names)


@pytest.mark.parametrize("wrong", ["", "10.0.0.0/33", "services", "10.0.0.1/32"])
def test_range_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is not a range of addresses"):
        _ = ClusterConfig(service_cluster_ip_range=wrong).first_service_address
