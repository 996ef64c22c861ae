from __future__ import annotations

import json

import pytest
from kubedoctor_apiserver.component import apiserver
from support.planning import configuration

from kubedoctor.components import FlagValue
from kubedoctor.config import PlaceKind


def flags(**wishes: object) -> dict[str, FlagValue]:
    return dict(apiserver(configuration(**wishes)).flags)


def test_sandbox_is_listened_to_everywhere_and_advertises_its_own_address() -> None:
    found = flags(node_index=3)
    assert (found["bind-address"], found["advertise-address"]) == ("0.0.0.0", "198.18.0.3")
    assert found["endpoint-reconciler-type"] is None


def test_host_is_listened_to_on_loopback() -> None:
    assert flags(place_kind=PlaceKind.HOST)["bind-address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("wishes", "address", "reconciler"),
    [
        ({"node": False}, "127.0.0.1", "none"),
        ({"node": True}, None, None),  # it finds the address of the default route itself
        ({"node": True, "advertise_address": "192.0.2.7"}, "192.0.2.7", None),
        ({"node": True, "advertise_address": "127.0.0.1"}, "127.0.0.1", "none"),
        ({"node": False, "api_host_ip": "192.0.2.7"}, "192.0.2.7", None),
    ],
)
def test_loopback_is_never_advertised_to_nodes_of_the_host(
    wishes: dict[str, object], address: str | None, reconciler: str | None
) -> None:
    found = flags(place_kind=PlaceKind.HOST, **wishes)
    assert (found["advertise-address"], found["endpoint-reconciler-type"]) == (address, reconciler)


@pytest.mark.parametrize(
    ("wishes", "plugins"),
    [
        ({}, "NodeRestriction"),
        ({"authorization_mode": "RBAC"}, None),
        ({"enable_admission_plugins": ("AlwaysPullImages",)}, "AlwaysPullImages,NodeRestriction"),
        ({"enable_admission_plugins": ("NodeRestriction",)}, "NodeRestriction"),
        ({"disable_admission_plugins": ("NodeRestriction",)}, None),
        ({"authorization_config": "/srv/authorization.yaml"}, "NodeRestriction"),
    ],
)
def test_nodes_are_restricted_where_the_node_authorizer_is(wishes: dict[str, object], plugins: str | None) -> None:
    assert flags(**wishes)["enable-admission-plugins"] == plugins


def test_authorization_file_takes_the_place_of_modes_and_webhook() -> None:
    found = flags(authorization_config="/srv/a.yaml", authorization_webhook_config_file="/srv/w")
    assert found["authorization-config"] == "/srv/a.yaml"
    assert "authorization-mode" not in found
    assert "authorization-webhook-config-file" not in found


def test_users_service_account_key_signs_and_checks() -> None:
    found = flags(service_account_key="/srv/sa.key")
    assert found["service-account-key-file"] == found["service-account-signing-key-file"] == "/srv/sa.key"


def test_audit_goes_to_the_log_directory_when_there_is_a_policy() -> None:
    assert flags()["audit-log-path"] is None
    assert flags(audit_policy_file="/p", log_dir="/srv/logs")["audit-log-path"] == "/srv/logs/kube-apiserver-audit.log"


def test_traces_go_to_the_collector_on_loopback() -> None:
    component = apiserver(configuration(tracing=True))
    (file,) = component.files
    assert component.flags["tracing-config-file"] == configuration().file(file.name)
    assert json.loads(file.content)["endpoint"] == "localhost:4317"


def test_emulated_version_is_kubernetes_unless_said_otherwise() -> None:
    assert flags(emulated_version="v1.36")["emulated-version"] == "kube=1.36"
    assert flags(emulated_version="kube=1.35,wardle=1.2")["emulated-version"] == "kube=1.35,wardle=1.2"


def test_serving_certificate_has_every_name_it_is_reached_by() -> None:
    serving = next(c for c in apiserver(configuration()).certificates if c.name == "serving-kube-apiserver")
    wanted = {
        "kubernetes",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "198.18.0.1",
    }
    assert wanted <= set(serving.sans)


def test_port_wished_for_is_exact_and_the_usual_one_is_not() -> None:
    (usual,) = apiserver(configuration()).ports
    assert (usual.inside, usual.publish, usual.exact) == (6443, 6443, False)
    (wished,) = apiserver(configuration(api_port=7443)).ports
    assert (wished.inside, wished.publish, wished.exact) == (6443, 7443, True)


def test_down_does_not_wait_for_watches() -> None:
    assert apiserver(configuration()).stop.timeout < 2
