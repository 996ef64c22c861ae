from __future__ import annotations

import pytest

from kubedoctor.cluster.documents import PlannedProbe
from kubedoctor.cluster.planning.manifests import PATH_ANNOTATION, is_known_to, path_of, planned_manifest, plural
from kubedoctor.components import Manifest
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import PlanError


@pytest.mark.parametrize(
    ("version", "kind", "namespace", "path"),
    [
        ("v1", "ConfigMap", "kube-system", "/api/v1/namespaces/kube-system/configmaps/x"),
        ("v1", "Service", None, "/api/v1/namespaces/default/services/x"),
        ("v1", "Namespace", None, "/api/v1/namespaces/x"),
        ("v1", "Endpoints", None, "/api/v1/namespaces/default/endpoints/x"),
        ("apps/v1", "Deployment", "a", "/apis/apps/v1/namespaces/a/deployments/x"),
        ("networking.k8s.io/v1", "NetworkPolicy", "a", "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/x"),
        ("networking.k8s.io/v1", "Ingress", "a", "/apis/networking.k8s.io/v1/namespaces/a/ingresses/x"),
        ("gateway.networking.k8s.io/v1", "Gateway", "a", "/apis/gateway.networking.k8s.io/v1/namespaces/a/gateways/x"),
        ("storage.k8s.io/v1", "StorageClass", None, "/apis/storage.k8s.io/v1/storageclasses/x"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", None, "/apis/rbac.authorization.k8s.io/v1/clusterroles/x"),
    ],
)
def test_objects_have_the_path_the_api_gives_them(version: str, kind: str, namespace: str | None, path: str) -> None:
    metadata = {"name": "x"} | ({"namespace": namespace} if namespace else {})
    assert path_of("m", {"apiVersion": version, "kind": kind, "metadata": metadata}) == path


def test_names_cannot_leave_their_place_in_the_path() -> None:
    item = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:a/b"}}
    assert path_of("m", item).endswith("/clusterroles/system%3Aa%2Fb")


def test_plurals_of_awkward_kinds() -> None:
    assert [plural(kind) for kind in ("APIService", "CSIDriver", "Box", "Proxy", "Endpoints")] == [
        "apiservices", "csidrivers", "boxes", "proxies", "endpoints",
    ]  # fmt: skip


def test_path_given_by_annotation_is_taken_and_the_annotation_is_not_applied() -> None:
    item = {
        "apiVersion": "acme.dev/v1",
        "kind": "Sheep",
        "metadata": {"name": "x", "annotations": {PATH_ANNOTATION: "/apis/acme.dev/v1/sheep/x", "keep": "this"}},
    }
    manifest = Manifest(name="m", objects=(item,), wait=("/apis/acme.dev/v1/sheep/x",))
    planned = planned_manifest(ClusterConfig(), manifest, PlannedProbe(kind="https"))
    assert planned.paths == ("/apis/acme.dev/v1/sheep/x",)
    assert planned.objects[0]["metadata"]["annotations"] == {"keep": "this"}
    assert planned.wait == ("/apis/acme.dev/v1/sheep/x",)


def test_object_without_a_name_is_refused() -> None:
    with pytest.raises(PlanError, match="an object of manifest m has no apiVersion, kind or name"):
        path_of("m", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}})


def test_range_of_versions_that_is_none_is_the_plugins_defect() -> None:
    with pytest.raises(PlanError, match="manifest m: `soon` is no range of Kubernetes versions"):
        is_known_to("v1.37.2", Manifest(name="m", objects=(), suits="soon"))
