from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.instances import cluster, running

from kubedoctor import Absent, Denied, FactError, Malformed, Silent, host
from kubedoctor.doctor.judge import CheckContext
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host import kubelet_config
from kubedoctor.host.http import HttpAnswer
from kubedoctor.host.kubelet_config import (
    KubeletFields,
    KubeletSetting,
    kubelet_config_directory,
    kubelet_configz,
    kubelet_fields,
    kubelet_setting,
    node_versions,
    parse_gates,
    parse_kubelet_fields,
    socket_path,
)
from kubedoctor.jsonform import to_json
from kubedoctor.testing import FakeLook

FILE = "/var/lib/kubelet/config.yaml"
FACT = (kubelet_fields, FILE, 0)


def setting(*flags: str, facts: Mapping[Any, Any]) -> KubeletSetting:
    kubelet = running("kubelet", *flags)
    return kubelet_setting(CheckContext(FakeLook(facts), cluster(kubelet)), kubelet)


def test_a_file_is_read_without_what_is_none_of_our_business() -> None:
    text = b"""
kind: KubeletConfiguration
cgroupDriver: systemd
containerRuntimeEndpoint: unix:///run/crio/crio.sock
seccompDefault: true
featureGates: {KubeletCgroupDriverFromCRI: false, Odd: 7}
staticPodURLHeader: {Authorization: [hunter2]}
"""
    assert parse_kubelet_fields(text, FILE) == KubeletFields(
        runtime="unix:///run/crio/crio.sock",
        cgroup_driver="systemd",
        seccomp_default=True,
        gates={"KubeletCgroupDriverFromCRI": False},
    )


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_malformed(content: bytes) -> None:
    with contextlib.suppress(Malformed):
        to_json(parse_kubelet_fields(content, FILE))


def test_without_file_and_flags_the_defaults_count() -> None:
    told = setting(facts={})
    assert (told.socket, told.cgroup_driver) == ("/run/containerd/containerd.sock", "cgroupfs")
    assert (told.driver_from, told.runtime_from) == ("", "")


def test_flags_count_more_than_drop_ins_and_those_more_than_the_file() -> None:
    facts = {
        FACT: KubeletFields(cgroup_driver="systemd", runtime="unix:///file.sock", gates={"A": True, "B": True}),
        (kubelet_config_directory, "/d", 0): ("/d/1.conf", "/d/2.conf"),
        (kubelet_fields, "/d/1.conf", 0): KubeletFields(runtime="unix:///one.sock", seccomp_default=True),
        (kubelet_fields, "/d/2.conf", 0): KubeletFields(runtime="unix:///two.sock"),
    }
    told = setting(f"--config={FILE}", "--config-dir=/d", facts=facts)
    assert (told.socket, told.runtime_from) == ("/two.sock", "/d/2.conf")
    assert (told.cgroup_driver, told.driver_from, told.seccomp_default) == ("systemd", FILE, True)
    flags = ("--cgroup-driver=cgroupfs", "--feature-gates=A=false", "--container-runtime-endpoint=/flag.sock")
    told = setting(f"--config={FILE}", "--config-dir=/d", *flags, facts=facts)
    assert (told.socket, told.runtime_from) == ("/flag.sock", "--container-runtime-endpoint")
    assert (told.cgroup_driver, told.driver_from) == ("cgroupfs", "--cgroup-driver")
    assert told.gates == {"A": False, "B": True}


def test_a_file_that_cannot_be_read_is_no_default() -> None:
    with pytest.raises(Denied):
        setting(f"--config={FILE}", facts={FACT: Denied("needs root")})


def test_drop_ins_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("20-b.conf", "10-a.conf", "00-c.yaml"):
        (tmp_path / name).touch()
    found = SharedLook().get(kubelet_config_directory, str(tmp_path), 0)
    assert found == (f"{tmp_path}/10-a.conf", f"{tmp_path}/20-b.conf")
    assert SharedLook().get(kubelet_config_directory, str(tmp_path / "none"), 0) == ()


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("unix:///run/a.sock", "/run/a.sock"),
        ("unix:/run/a.sock", "/run/a.sock"),
        ("/run/a.sock", "/run/a.sock"),
        ("tcp://127.0.0.1:1234", ""),
        ("npipe:////./pipe/x", ""),
        ("", ""),
    ],
)
def test_endpoints_are_paths_or_none(endpoint: str, path: str) -> None:
    assert socket_path(endpoint) == path


@given(st.text(max_size=40))
def test_any_gates_are_read(text: str) -> None:
    assert all(isinstance(value, bool) for value in parse_gates(text).values())


# --- through the API --------------------------------------------------------------------------------------------------


def answering(monkeypatch: pytest.MonkeyPatch, status: int, document: object = None) -> list[str]:
    asked: list[str] = []

    def api_get(_access: object, path: str, **_options: object) -> HttpAnswer:
        asked.append(path)
        return HttpAnswer(status=status, body=json.dumps(document).encode())

    monkeypatch.setattr(kubelet_config, "api_get", api_get)
    monkeypatch.setattr(kubelet_config, "read_access", lambda *_: None)
    return asked


def test_a_running_kubelet_is_asked_through_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, 200, {"kubeletconfig": {"cgroupDriver": "systemd"}})
    assert SharedLook().get(kubelet_configz, "/k", 0, 0, "node-1").cgroup_driver == "systemd"
    assert asked == ["/api/v1/nodes/node-1/proxy/configz"]


def test_versions_of_a_node_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"kubeletVersion": "v1.37.2", "containerRuntimeVersion": "containerd://2.4.2"}
    answering(monkeypatch, 200, {"status": {"nodeInfo": info}})
    told = SharedLook().get(node_versions, "/k", 0, 0, "node-1")
    assert (told.kubelet, told.runtime) == ("v1.37.2", "containerd://2.4.2")


@pytest.mark.parametrize(("status", "error"), [(401, Denied), (403, Denied), (404, Absent), (503, Silent)])
def test_what_the_api_refuses_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, status: int, error: type[FactError]
) -> None:
    answering(monkeypatch, status)
    with pytest.raises(error):
        SharedLook().get(node_versions, "/k", 0, 0, "node-1")


@pytest.mark.parametrize("node", ["../secrets", "a/b", "", "A", "a?b"])
def test_only_names_of_nodes_are_asked_for(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    asked = answering(monkeypatch, 200, {})
    with pytest.raises(Malformed):
        SharedLook().get(node_versions, "/k", 0, 0, node)
    assert asked == []


def test_names_are_offered_to_plugins() -> None:
    assert host.kubelet_setting is kubelet_setting
