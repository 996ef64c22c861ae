"""When a node goes to the host, and what is said where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubedoctor.cluster import hostnode, settling
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import ConfigError, KubedoctorError

DEFAULT = f"unix://{hostnode.CONTAINERD}"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a runtime where they usually are, and without kubelets."""
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hostnode, "CONTAINERD", str(tmp_path / "containerd.sock"))
    monkeypatch.setattr(hostnode, "USUAL", (str(tmp_path / "containerd.sock"), str(tmp_path / "crio.sock")))
    monkeypatch.setattr(hostnode, "_kubelets", lambda: iter(()))
    return tmp_path


@pytest.mark.parametrize(
    ("wishes", "host"),
    [
        ({}, False),
        ({"host": True}, True),
        ({"container_runtime_endpoint": DEFAULT}, True),
        ({"container_runtime_endpoint": DEFAULT, "node": False}, False),
        ({"host": True, "node": False}, False),
    ],
)
def test_node_goes_to_the_host_only_when_asked_for(wishes: dict[str, Any], host: bool) -> None:
    assert hostnode.wants_host(ClusterConfig(**{"node": True, **wishes})) is host


def test_default_of_the_guide_without_a_runtime_means_a_sandbox(machine: Path) -> None:
    config, notes = hostnode.settle(
        ClusterConfig(node=True, container_runtime_endpoint=f"unix://{hostnode.CONTAINERD}")
    )
    assert (config.place_kind, config.container_runtime_endpoint) == (PlaceKind.SANDBOX, "")
    assert "sandbox with a containerd of its own" in notes[0]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"container_runtime_endpoint": "unix:///run/no.sock"}, "there is no /run/no.sock"),
        ({"container_runtime_endpoint": "tcp://1.2.3.4:5"}, "expected a socket such as unix://"),
        ({"host": True}, "needs a container runtime, and none is at"),
    ],
)
def test_other_runtime_that_is_not_there_is_an_error(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        hostnode.settle(ClusterConfig(**{"node": True, **wishes}))
    assert raised.value.hint or "expected" in said


def test_kubelet_of_somebody_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "crio.sock").write_text("")
    monkeypatch.setattr(hostnode, "_kubelets", lambda: iter([(1, "kubelet")]))
    with pytest.raises(KubedoctorError, match=r"a kubelet runs on this host already: kubelet, pid 1 \("):
        hostnode.settle(ClusterConfig(node=True, host=True))


def test_mode_that_cannot_be_cleared_is_refused_before_anything_is_asked(machine: Path) -> None:
    (machine / "crio.sock").write_text("")
    with pytest.raises(ConfigError, match="ipvs"):
        hostnode.settle(ClusterConfig(node=True, host=True, kube_proxy_mode="ipvs"))


def test_ordinary_user_has_no_node_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("kubedoctor.cluster.sandbox.refusal", lambda: "")
    monkeypatch.setattr("kubedoctor.cluster.subordinate.refusal", lambda: "")
    config, notes = settling.settle_place(ClusterConfig(node=True, host=True))
    assert (config.place_kind, config.node) == (PlaceKind.HOST, False)
    assert "only root can run a node on the host" in notes[0]
    config, notes = settling.settle_place(ClusterConfig(node=True, container_runtime_endpoint=DEFAULT))
    assert (config.place_kind, config.node, config.container_runtime_endpoint) == (PlaceKind.SANDBOX, True, "")
    assert notes == ("CONTAINER_RUNTIME_ENDPOINT is not used: only root can run a node on the host",)
