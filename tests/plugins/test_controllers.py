from __future__ import annotations

from typing import Any

import pytest
from kubedoctor_controllers.component import NAME, controller_manager
from support.planning import configuration


def test_controllers_do_not_wait_for_the_clients_limit() -> None:
    flags = controller_manager(configuration()).flags
    assert (flags["kube-api-qps"], flags["kube-api-burst"]) == (1000, 2000)


@pytest.mark.parametrize(
    ("wishes", "waits"),
    [
        ({}, True),
        ({"kube_controllers": "*,bootstrapsigner"}, True),
        ({"kube_controllers": "*,-serviceaccount"}, False),
        ({"kube_controllers": "*,-serviceaccount-controller"}, False),
        ({"kube_controllers": "deployment,replicaset,statefulset"}, False),
        ({"kube_controllers": "deployment,serviceaccount-controller"}, True),
        ({"kube_controllers": "deployment,serviceaccount-token"}, False),
        ({"set": {NAME: {"controllers": "deployment"}}}, False),
        ({"set": {NAME: {"controllers": None}}, "kube_controllers": "deployment"}, True),
    ],
)
def test_ready_means_that_pods_can_be_made_where_it_can(wishes: dict[str, Any], waits: bool) -> None:
    probes = controller_manager(configuration(**wishes)).ready
    assert [probe.path for probe in probes[1:]] == (
        ["/api/v1/namespaces/default/serviceaccounts/default"] if waits else []
    )
    assert (probes[0].kind, probes[0].path, probes[0].ca) == ("https", "/healthz", "server-ca")


def test_pod_addresses_are_given_to_nodes() -> None:
    flags = controller_manager(configuration(cluster_cidr="10.244.0.0/16")).flags
    assert flags["allocate-node-cidrs"] is True
    assert flags["cluster-cidr"] == "10.244.0.0/16"


def test_requests_are_signed_by_the_client_authority_unless_named() -> None:
    flags = controller_manager(configuration()).flags
    assert flags["cluster-signing-cert-file"] == configuration().pki("client-ca.crt")
    own = controller_manager(configuration(cluster_signing_cert_file="/c", cluster_signing_key_file="/k")).flags
    assert (own["cluster-signing-cert-file"], own["cluster-signing-key-file"]) == ("/c", "/k")


def test_cloud_controllers_elsewhere_are_external() -> None:
    flags = controller_manager(configuration(external_cloud_provider=True, cloud_provider="fake")).flags
    assert flags["cloud-provider"] == "external"


def test_it_is_published_by_wish_only() -> None:
    assert controller_manager(configuration()).ports[0].publish is None
    port = controller_manager(configuration(kcm_port=11257)).ports[0]
    assert (port.inside, port.publish, port.exact) == (10257, 11257, True)
