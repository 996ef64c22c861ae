"""Manifests with the API path of each object, as PATCH takes it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from kubedoctor.cluster.binaries.versions import Version, suits
from kubedoctor.cluster.documents import PlannedManifest, PlannedProbe
from kubedoctor.cluster.planning.probes import planned_question
from kubedoctor.components import Manifest
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import PlanError

CLUSTER_SCOPED = frozenset({
    "Namespace", "Node", "PersistentVolume", "StorageClass", "CSIDriver", "CSINode", "VolumeAttachment",
    "VolumeAttributesClass", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "APIService",
    "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "PriorityClass",
    "RuntimeClass", "IngressClass", "FlowSchema", "PriorityLevelConfiguration", "CertificateSigningRequest",
    "ClusterTrustBundle", "DeviceClass", "ResourceSlice", "ServiceCIDR", "IPAddress", "GatewayClass",
})  # fmt: skip
"""Kinds that have no namespace. A cluster-scoped kind of a custom resource names its path in PATH_ANNOTATION."""

PATH_ANNOTATION = "kubedoctor.dev/path"
"""The API path of an object whose kind breaks the rules below; the annotation is not applied."""

_IRREGULAR = {"Endpoints": "endpoints", "NodeMetrics": "nodes", "PodMetrics": "pods"}


def is_known_to(kubernetes: str, manifest: Manifest) -> bool:
    """Return whether that version has all kinds of *manifest*: one that cannot be told is taken to be a new one.

    Raise PlanError where the manifest's own words cannot be read.
    """
    try:
        return suits(Version.parse(kubernetes), manifest.suits)
    except ValueError as problem:
        raise PlanError(
            f"manifest {manifest.name}: {problem}",
            hint="a defect of the plugin that brings it; leave it out with --no-plugin NAME",
        ) from None


def planned_manifest(config: ClusterConfig, manifest: Manifest, api: PlannedProbe) -> PlannedManifest:
    """Return *manifest* with a path for each object; raise PlanError for an object that has no kind or name."""
    objects = [_without_annotation(item) for item in manifest.objects]
    paths = [path_of(manifest.name, item) for item in manifest.objects]
    return PlannedManifest(
        name=manifest.name,
        objects=tuple(objects),
        paths=tuple(paths),
        wait=manifest.wait,
        ready=tuple(planned_question(config, manifest.name, probe, api) for probe in manifest.ready),
    )


def path_of(manifest: str, item: Mapping[str, object]) -> str:
    """Return the API path of an object.

    Its resource is its kind in lower case and the plural, as every kind of Kubernetes and every kind kubebuilder makes
    has it; its namespace `default` unless it says another one.
    """
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    version, kind, name = (
        str(item.get("apiVersion") or ""),
        str(item.get("kind") or ""),
        str(metadata.get("name") or ""),
    )
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping) and PATH_ANNOTATION in annotations:
        return str(annotations[PATH_ANNOTATION])
    if not (version and kind and name):
        raise PlanError(
            f"an object of manifest {manifest} has no apiVersion, kind or name",
            hint="a defect of the plugin that brings it; leave it out with --no-plugin NAME",
        )
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = metadata.get("namespace")
    if kind not in CLUSTER_SCOPED:
        root += f"/namespaces/{quote(str(namespace or 'default'), safe='')}"
    return f"{root}/{plural(kind)}/{quote(name, safe='')}"


def plural(kind: str) -> str:
    """Return the resource of a kind: lower case, English plural."""
    if kind in _IRREGULAR:
        return _IRREGULAR[kind]
    word = kind.lower()
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _without_annotation(item: Mapping[str, object]) -> Mapping[str, object]:
    metadata = item.get("metadata")
    if not isinstance(metadata, Mapping) or PATH_ANNOTATION not in (metadata.get("annotations") or {}):
        return item
    annotations = {key: value for key, value in metadata["annotations"].items() if key != PATH_ANNOTATION}
    return {**item, "metadata": {**metadata, "annotations": annotations}}
