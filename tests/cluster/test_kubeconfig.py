"""Kubeconfigs as they are written."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.cluster.kubeconfig import scalar, write_kubeconfig
from kubedoctor.errors import KubedoctorError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    for name in ("ca.crt", "me.crt", "me.key"):
        (tmp_path / name).write_text(f"the {name}")
    return {
        "server": "https://127.0.0.1:6443",
        "ca_file": str(tmp_path / "ca.crt"),
        "cert_file": str(tmp_path / "me.crt"),
        "key_file": str(tmp_path / "me.key"),
        "cluster": "local",
        "user": "admin",
    }


def test_by_path_it_reads_as_a_person_would_write_it(tmp_path: Path, files: dict[str, Any]) -> None:
    assert write_kubeconfig(tmp_path / "admin", **files, embed=False) is True
    assert (
        (tmp_path / "admin").read_text()
        == f"""\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: {tmp_path}/ca.crt
    server: https://127.0.0.1:6443
  name: kubedoctor-local
contexts:
- context:
    cluster: kubedoctor-local
    user: kubedoctor-local-admin
  name: kubedoctor-local
current-context: kubedoctor-local
users:
- name: kubedoctor-local-admin
  user:
    client-certificate: {tmp_path}/me.crt
    client-key: {tmp_path}/me.key
"""
    )


def test_embedded_it_holds_the_files(tmp_path: Path, files: dict[str, Any]) -> None:
    write_kubeconfig(tmp_path / "admin", **files, embed=True)
    data = yaml.safe_load((tmp_path / "admin").read_text())
    assert base64.b64decode(data["clusters"][0]["cluster"]["certificate-authority-data"]) == b"the ca.crt"
    user = data["users"][0]["user"]
    assert base64.b64decode(user["client-certificate-data"]) == b"the me.crt"
    assert base64.b64decode(user["client-key-data"]) == b"the me.key"


def test_component_has_a_context_of_its_own_name(tmp_path: Path, files: dict[str, Any]) -> None:
    write_kubeconfig(tmp_path / "k", **{**files, "user": "kube-scheduler"}, embed=False)
    data = yaml.safe_load((tmp_path / "k").read_text())
    assert data["current-context"] == data["users"][0]["name"] == "kubedoctor-local-kube-scheduler"
    assert data["clusters"][0]["name"] == "kubedoctor-local"


def test_it_is_private_and_told_when_it_changed(tmp_path: Path, files: dict[str, Any]) -> None:
    path = tmp_path / "admin"
    write_kubeconfig(path, **files, embed=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_kubeconfig(path, **files, embed=False) is False
    assert write_kubeconfig(path, **{**files, "server": "https://127.0.0.1:7443"}, embed=False) is True
    path.chmod(0o644)
    write_kubeconfig(path, **files, embed=False)
    assert path.stat().st_mode & 0o777 == 0o600


def test_link_in_its_place_is_not_followed(tmp_path: Path, files: dict[str, Any]) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "admin").symlink_to(tmp_path / "victim")
    write_kubeconfig(tmp_path / "admin", **files, embed=False)
    assert (tmp_path / "victim").read_text() == "precious"


def test_file_to_embed_that_is_gone_is_named(tmp_path: Path, files: dict[str, Any]) -> None:
    (tmp_path / "me.key").unlink()
    with pytest.raises(KubedoctorError, match=r"me\.key cannot be read: No such file or directory"):
        write_kubeconfig(tmp_path / "admin", **files, embed=True)


@settings(deadline=None)  # a loaded machine is no defect
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    assert yaml.safe_load(f"- a: {scalar(text)}\n") == [{"a": text}]


@pytest.mark.parametrize("text", ["true", "Null", "no", "1.5", "12:30", "~", "a: b", "a #b", "- a", "", "0x1f", "1e5"])
def test_text_that_yaml_takes_for_something_else_is_quoted(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text


def test_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(KubedoctorError, match="is not UTF-8"):
        scalar("/tmp/\udcff")
