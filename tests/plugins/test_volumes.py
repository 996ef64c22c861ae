"""What makes volumes for claims, against an API that answers as told; with a real one it is in tests/integration."""

from __future__ import annotations

import copy
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubedoctor_controllers.provisioner import (
    NAME,
    VOLUMES,
    Api,
    ApiError,
    Provisioner,
    is_ours,
    is_to_be_removed,
    volume_for,
)
from kubedoctor_controllers.volumes import storage_class
from support.http_server import BEGINS, CA, CLIENTS, http, json_answer, served
from support.planning import plan

from kubedoctor.cluster.kubeconfig import write_kubeconfig

UID = "0a1b2c3d-0000-4000-8000-123456789abc"
CLAIM: dict[str, Any] = {
    "metadata": {
        "name": "store",
        "namespace": "shop",
        "uid": UID,
        "annotations": {"volume.kubernetes.io/storage-provisioner": NAME},
    },
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "standard",
    },
}


def claim(**spec: Any) -> dict[str, Any]:
    changed = copy.deepcopy(CLAIM)
    changed["spec"].update(spec)
    return changed


def released(directory: Path) -> dict[str, Any]:
    volume = volume_for(CLAIM, {}, "local", directory)
    volume["metadata"]["uid"] = "u"
    volume["status"] = {"phase": "Released"}
    return volume


class Told(Api):
    """An API that keeps what it is asked; `refuses` are the statuses of methods."""

    def __init__(self, **refuses: int) -> None:
        super().__init__("")
        object.__setattr__(self, "refuses", refuses)
        object.__setattr__(self, "asked", [])

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append((method, path, body))  # type: ignore[attr-defined]
        if status := self.refuses.get(method):  # type: ignore[attr-defined]
            raise ApiError(status, "no")
        return {"reclaimPolicy": "Retain"} if method == "GET" else {}

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]  # type: ignore[attr-defined]


# --- what is ours -----------------------------------------------------------------------------------------------------


def test_a_claim_of_our_class_is_ours_on_its_node_or_any() -> None:
    assert is_ours(CLAIM, "local")
    chosen = copy.deepcopy(CLAIM)
    chosen["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "local"
    assert is_ours(chosen, "local")
    assert not is_ours(chosen, "other")


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"annotations": None}},
        {"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "someone.else"}}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"spec": {"volumeName": "pvc-1"}},
    ],
)
def test_other_claims_are_left_alone(changes: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    other = copy.deepcopy(CLAIM)
    for part, fields in changes.items():
        other[part].update(fields)
    api = Told()
    Provisioner(api, "local", tmp_path).provide(other)
    assert api.methods() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": {"phase": "Bound"}},
        {"metadata": {"annotations": {}}},
        {"metadata": {"name": "../../etc"}},
        {"metadata": {"name": "pvc-etc"}},
        {"spec": {"persistentVolumeReclaimPolicy": "Retain"}},
        {"spec": {"nodeAffinity": None}},
    ],
)
def test_other_volumes_are_left_alone(changes: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    volume = released(tmp_path)
    assert is_to_be_removed(volume, "local")
    assert not is_to_be_removed(volume, "elsewhere")
    for part, fields in changes.items():
        volume[part].update(fields)
    assert not is_to_be_removed(volume, "local")


@given(st.text(), st.text())
def test_no_name_leads_out_of_the_directory(name: str, path: str) -> None:
    volume = released(Path("/volumes"))
    volume["metadata"]["name"], volume["spec"]["local"]["path"] = name, path
    assert not is_to_be_removed(volume, "local") or "/" not in name


# --- what is done -----------------------------------------------------------------------------------------------------


def test_a_claim_gets_a_directory_and_a_volume(tmp_path: Path) -> None:
    api = Told()
    Provisioner(api, "local", tmp_path).provide(CLAIM)
    (directory,) = tmp_path.iterdir()
    assert directory.name == f"pvc-{UID}"
    assert directory.stat().st_mode & 0o777 == 0o777
    _, (method, path, volume) = api.asked  # type: ignore[attr-defined]
    assert (method, path) == ("POST", VOLUMES)
    assert volume["spec"]["local"]["path"] == str(directory)
    assert volume["spec"]["claimRef"]["uid"] == UID
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    Provisioner(Told(POST=409), "local", tmp_path).provide(CLAIM)  # a second time it is there


def test_a_refusal_of_the_api_is_tried_again_by_who_called(tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        Provisioner(Told(POST=403), "local", tmp_path).provide(CLAIM)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"volumeMode": "Block"}, "no block device"),
        ({"dataSource": {"kind": "VolumeSnapshot", "name": "s"}}, "no snapshots"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "a selector chooses"),
    ],
)
def test_what_a_directory_cannot_do_is_told_in_an_event(tmp_path: Path, spec: dict[str, Any], why: str) -> None:
    api = Told()
    Provisioner(api, "local", tmp_path).provide(claim(**spec))
    ((method, path, event),) = api.asked  # type: ignore[attr-defined]
    assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
    assert why in event["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_released_volume_is_removed_with_its_content(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("stays")
    directory = tmp_path / "volumes"
    inside = directory / f"pvc-{UID}"
    inside.mkdir(parents=True)
    (inside / "file").write_text("goes")
    (inside / "link").symlink_to(outside)
    api = Told()
    provisioner = Provisioner(api, "local", directory)
    provisioner.remove(released(directory))
    assert not inside.exists()
    assert outside.read_text() == "stays"
    assert api.methods() == ["DELETE"]
    Provisioner(Told(DELETE=404), "local", directory).remove(released(directory))  # both are gone already


# --- talking with the API ---------------------------------------------------------------------------------------------


def test_the_kubeconfig_of_a_component_is_understood(tmp_path: Path) -> None:
    certificate, key = CLIENTS.issue("volumes", begins=BEGINS).write(tmp_path, "client")
    (tmp_path / "ca.crt").write_bytes(CA.pem)
    serving = CA.issue("api", "127.0.0.1", begins=BEGINS).write(tmp_path, "serving")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*serving)
    config = tmp_path / "a b.kubeconfig"
    added = {"type": "ADDED", "object": {"a": 1}}
    lines = "".join(json.dumps(event) + "\n" for event in ({"type": "BOOKMARK", "object": {}}, added))
    gone = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}) + "\n"
    answers = (json_answer(200, {"a": 1}), json_answer(403, {"message": "not you"}), http(200, lines), http(200, gone))
    with served(*answers, tls=tls) as server:
        write_kubeconfig(
            config,
            server=f"https://127.0.0.1:{server.port}",
            ca_file=str(tmp_path / "ca.crt"),
            cert_file=certificate,
            key_file=key,
            cluster="local",
            user="volumes",
            embed=False,
        )
        api = Api(str(config))
        assert api.request("GET", "/one") == {"a": 1}
        with pytest.raises(ApiError, match="not you") as refused:
            api.request("GET", "/two")
        assert refused.value.status == 403
        assert list(api.watch("/three", "7")) == [{"a": 1}]
        assert "watch=1" in server.lines[2]
        with pytest.raises(ApiError, match="too old"):
            list(api.watch("/three", "7"))


def test_the_class_and_its_program_are_there_by_default_and_can_be_left_out() -> None:
    names = {component.name for component in plan(node=True).components}
    assert "volumes" in names
    assert "volumes" not in {c.name for c in plan(node=True, default_storage_class=False).components}
    assert "volumes" not in {c.name for c in plan(node=False).components}
    assert "storage" in {manifest.name for manifest in plan(node=True).manifests}
    assert "storage" not in {manifest.name for manifest in plan(node=False).manifests}
    assert storage_class().objects[1]["provisioner"] == NAME


def test_the_provisioner_of_kubernetes_does_not_write_on_the_machine() -> None:
    private = {one.path for one in plan(node=True, enable_hostpath_provisioner=True).private}
    assert "/tmp/hostpath_pv" in private
    assert "/tmp/hostpath_pv" not in {one.path for one in plan(node=True).private}
