from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cri_server import Reply, cri, serving
from support.protobuf import message

from kubedoctor import Absent, Denied, Fact, Malformed, Silent
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.cri import (
    CriVersion,
    cri_cgroup_driver,
    cri_containers,
    cri_image_filesystems,
    cri_sandboxes,
    cri_status,
    cri_version,
    parse_status,
)
from kubedoctor.host.protobuf import parse_message
from kubedoctor.jsonform import to_json

T = TypeVar("T")
FACTS: tuple[Fact[[str, int], Any], ...] = (cri_version, cri_status, cri_containers)
VERSION = {"RuntimeService/Version": Reply(message((1, "0.1.0"), (2, "containerd"), (3, "v2.4.2"), (4, "v1")))}
CONFIG = {
    "containerd": {
        "defaultRuntimeName": "runc",
        "runtimes": {
            "runc": {
                "runtimeType": "io.containerd.runc.v2",
                "options": {"BinaryName": "/usr/bin/runc", "SystemdCgroup": True},
            },
            "kata": {"runtimeType": "io.containerd.kata.v2", "options": None},
        },
    },
    "cni": {"binDirs": ["/opt/cni/bin"], "confDir": "/etc/cni/net.d", "maxConfNum": 1},
    "registry": {"configs": {"r.example": {"auth": {"username": "u", "password": "hunter2", "auth": "aHVudGVyMg=="}}}},
    "sandboxImage": "registry.k8s.io/pause:3.10",
}


def status(config: object, *conditions: bytes, **info: str) -> bytes:
    entries = {"config": json.dumps(config), "lastCNILoadStatus": "OK", **info}
    told = [(2, message((1, key), (2, value))) for key, value in entries.items()]
    return message((1, message(*((1, one) for one in conditions))), *told)


def condition(kind: str, is_so: bool, reason: str = "", words: str = "") -> bytes:
    return message((1, kind), (2, int(is_so)), (3, reason), (4, words))


def asked(tmp_path: Path, fact: Fact[[str, int], T], replies: Mapping[str, Reply]) -> T:
    with serving(tmp_path / "s", cri(replies)) as socket:
        return SharedLook().get(fact, socket, 0)


def test_the_version_is_told(tmp_path: Path) -> None:
    assert asked(tmp_path, cri_version, VERSION) == CriVersion(api="v1", name="containerd", version="v2.4.2")


def test_a_server_without_the_cri_is_a_value_and_no_error(tmp_path: Path) -> None:
    assert asked(tmp_path, cri_version, {}) == CriVersion()


def test_an_old_version_of_the_cri_is_told(tmp_path: Path) -> None:
    old = {f"/runtime.v1alpha2.{name}": reply for name, reply in VERSION.items()}
    assert asked(tmp_path, cri_version, old).api == "v1alpha2"


def test_no_socket_is_absent(tmp_path: Path) -> None:
    for fact in FACTS:
        with pytest.raises(Absent, match="does not exist"):
            SharedLook().get(fact, str(tmp_path / "none"), 0)


def test_a_server_without_the_cri_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="serves no CRI"):
        asked(tmp_path, cri_status, {})


@pytest.mark.parametrize(("code", "error"), [(7, Denied), (14, Silent), (4, Silent), (2, Malformed), (99, Malformed)])
def test_what_a_runtime_refuses_is_told_by_its_kind(tmp_path: Path, code: int, error: type[Exception]) -> None:
    refusal = {**VERSION, "RuntimeService/Status": Reply(code=code, message="not now")}
    with pytest.raises(error, match="not now"):
        asked(tmp_path, cri_status, refusal)


def test_the_status_is_read_and_holds_no_secret(tmp_path: Path) -> None:
    network = condition("NetworkReady", False, "NetworkPluginNotReady", "cni plugin not initialized")
    body = status(CONFIG, condition("RuntimeReady", True), network)
    told = asked(tmp_path, cri_status, {**VERSION, "RuntimeService/Status": Reply(body)})
    assert [(one.type, one.status, one.message) for one in told.conditions] == [
        ("RuntimeReady", True, ""),
        ("NetworkReady", False, "cni plugin not initialized"),
    ]
    assert told.condition("NetworkReady") == told.conditions[1]
    assert told.condition("Other") is None
    assert (told.default_handler, told.cni_conf_dir, told.cni_bin_dirs) == ("runc", "/etc/cni/net.d", ("/opt/cni/bin",))
    assert (told.cni_max_conf, told.cni_load, told.internal_loopback) == (1, "OK", False)
    assert [(one.name, one.binary, one.systemd_cgroup) for one in told.handlers] == [
        ("kata", "", None),
        ("runc", "/usr/bin/runc", True),
    ]
    stored = json.dumps(to_json(told))
    assert "hunter2" not in stored
    assert "aHVudGVyMg" not in stored


def test_a_runtime_that_tells_nothing_of_itself_has_a_status() -> None:
    told = parse_status(parse_message(message((1, message((1, condition("RuntimeReady", True)))))))
    assert (told.cni_conf_dir, told.handlers, told.cni_max_conf) == ("", (), None)


def test_the_older_name_of_the_directories_is_read() -> None:
    body = status({"cni": {"binDir": "/opt/cni/bin"}})
    assert parse_status(parse_message(body)).cni_bin_dirs == ("/opt/cni/bin",)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(
    st.sampled_from(["containerd", "runtimes", "cni", "options", "binDirs", "confDir", "runc", "maxConfNum"]), one
), max_leaves=20))  # fmt: skip
def test_whatever_configuration_a_runtime_tells_is_read_or_malformed(config: object) -> None:
    with contextlib.suppress(Malformed):
        to_json(parse_status(parse_message(status(config))))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_status_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        to_json(parse_status(parse_message(data)))


@pytest.mark.parametrize(
    ("linux", "driver"), [(b"", "systemd"), (message((1, 0)), "systemd"), (message((1, 1)), "cgroupfs")]
)
def test_the_cgroup_driver_is_told(tmp_path: Path, linux: bytes, driver: str) -> None:
    replies = {**VERSION, "RuntimeService/RuntimeConfig": Reply(message((1, linux)))}
    assert asked(tmp_path, cri_cgroup_driver, replies) == driver


def test_an_old_runtime_does_not_tell_its_driver(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        asked(tmp_path, cri_cgroup_driver, VERSION)


def test_an_unknown_driver_is_malformed(tmp_path: Path) -> None:
    replies = {**VERSION, "RuntimeService/RuntimeConfig": Reply(message((1, message((1, 7)))))}
    with pytest.raises(Malformed, match="unknown cgroup driver: 7"):
        asked(tmp_path, cri_cgroup_driver, replies)


def test_filesystems_of_images_are_told(tmp_path: Path) -> None:
    usage = message((2, message((1, "/var/lib/images"))), (3, message((1, 4096))), (4, message((1, 7))))
    (found,) = asked(
        tmp_path, cri_image_filesystems, {**VERSION, "ImageService/ImageFsInfo": Reply(message((1, usage)))}
    )
    assert (found.mount, found.used_bytes, found.used_inodes) == ("/var/lib/images", 4096, 7)


def test_containers_are_listed_oldest_first(tmp_path: Path) -> None:
    label = message((1, "io.kubernetes.pod.name"), (2, "web"))
    one = message((1, "b"), (2, "p"), (3, message((1, "c"), (2, 3))), (6, 1), (7, 2_000_000_000), (8, label))
    two = message((1, "a"), (6, 9), (7, 1_000_000_000), (9, message((1, "secret"), (2, "hunter2"))))
    found = asked(
        tmp_path, cri_containers, {**VERSION, "RuntimeService/ListContainers": Reply(message((1, one), (1, two)))}
    )
    assert [(each.id, each.state, each.created, each.pod, each.attempt) for each in found] == [
        ("a", "unknown", 1.0, "", 0),
        ("b", "running", 2.0, "web", 3),
    ]
    assert "hunter2" not in json.dumps(to_json(found))


def test_sandboxes_are_listed(tmp_path: Path) -> None:
    named = message((1, "web"), (2, "u"), (3, "default"), (4, 1))
    one = message((1, "a"), (2, named), (3, 1), (4, 1_000_000_000), (7, "runc"))
    (found,) = asked(tmp_path, cri_sandboxes, {**VERSION, "RuntimeService/ListPodSandbox": Reply(message((1, one)))})
    assert (found.name, found.namespace, found.ready, found.handler) == ("web", "default", False, "runc")
