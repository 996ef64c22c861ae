"""What the kubelet's plugin brings into the API, and where."""

from __future__ import annotations

from typing import Any

import pytest
from support.planning import plan

POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kubedoctor-no-resizing"


def paths(**wishes: Any) -> list[str]:
    return [path for manifest in plan(**{"node": True, **wishes}).manifests for path in manifest.paths]


@pytest.mark.parametrize(("uid", "wishes", "refused"), [(0, {}, False), (1000, {}, True), (0, {"node": False}, False)])
def test_pods_are_not_resized_where_a_user_has_no_cgroups(
    monkeypatch: pytest.MonkeyPatch, uid: int, wishes: dict[str, Any], refused: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert (POLICY in paths(**wishes)) is refused


def test_pods_are_not_resized_where_the_user_wants_no_cgroups() -> None:
    assert POLICY in paths(cgroups_per_qos=False)


@pytest.mark.parametrize(
    ("version", "refused"), [("v1.31.9", False), ("v1.32.0", True), ("v1.38.0-alpha.1", True), ("v0.0.0-master", True)]
)
def test_versions_that_cannot_resize_get_no_policy(version: str, refused: bool) -> None:
    assert (POLICY in paths(cgroups_per_qos=False, kubernetes_version=version)) is refused
