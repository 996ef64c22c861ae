from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.binaries.skew import check_data_version, check_skew
from kubedoctor.errors import PlanError

minors = st.integers(25, 45)


def allowed(**versions: str) -> bool:
    try:
        check_skew({name.replace("_", "-"): version for name, version in versions.items()})
    except PlanError:
        return False
    return True


@given(minors, minors, st.sampled_from(["kube-controller-manager", "kube-scheduler", "cloud-controller-manager"]))
def test_controllers_are_as_old_as_the_apiserver_or_one_minor_older(server: int, other: int, name: str) -> None:
    versions = {"kube-apiserver": f"v1.{server}.1", name: f"v1.{other}.9"}
    assert allowed(**versions) == (other in (server, server - 1))


@given(minors, minors)
def test_kubectl_is_within_one_minor(server: int, other: int) -> None:
    assert allowed(kube_apiserver=f"v1.{server}.0", kubectl=f"v1.{other}.0") == (abs(server - other) <= 1)


@given(minors, minors, st.sampled_from(["kubelet", "kube-proxy"]))
def test_node_is_up_to_three_minors_older(server: int, other: int, name: str) -> None:
    assert allowed(**{"kube-apiserver": f"v1.{server}.0", name: f"v1.{other}.0"}) == (0 <= server - other <= 3)


def test_old_kubelet_is_allowed_two_minors_only() -> None:
    assert allowed(kube_apiserver="v1.26.0", kubelet="v1.24.0")
    assert not allowed(kube_apiserver="v1.27.0", kubelet="v1.24.0")


def test_kube_proxy_is_within_three_minors_of_the_kubelet() -> None:
    assert allowed(kubelet="v1.37.0", kube_proxy="v1.34.0")
    assert not allowed(kubelet="v1.37.0", kube_proxy="v1.33.0")


@pytest.mark.parametrize(
    ("server", "etcd", "good"),
    [
        ("v1.37.2", "v3.7.3", True),
        ("v1.37.2", "v3.5.24", True),
        ("v1.37.2", "v3.5.23", False),
        ("v1.30.14", "v3.5.9", True),
    ],
)
def test_etcd_is_as_new_as_the_apiserver_asks_for(server: str, etcd: str, good: bool) -> None:
    assert allowed(kube_apiserver=server, etcd=etcd) == good


def test_message_names_both_versions_and_the_rule() -> None:
    with pytest.raises(PlanError) as raised:
        check_skew({"kube-apiserver": "v1.36.0", "kube-scheduler": "v1.37.2"})
    assert raised.value.message == (
        "kube-scheduler v1.37.2 cannot run with kube-apiserver v1.36.0: it must not be newer than kube-apiserver"
    )
    assert "version-skew-policy" in raised.value.hint


def test_what_tells_no_version_is_let_through() -> None:
    assert allowed(kube_apiserver="v1.37.2", kube_scheduler="v0.0.0-master", kubectl="", acme="whatever")
    assert allowed(kube_scheduler="v1.37.2")


@given(minors, st.integers(0, 9), minors, st.integers(0, 9))
def test_data_is_opened_by_the_same_minor_or_a_newer_one(before: int, patch: int, now: int, other: int) -> None:
    if now >= before:
        check_data_version(f"v3.{before}.{patch}", f"3.{now}.{other}")
        return
    with pytest.raises(
        PlanError, match=rf"written by etcd v3\.{before}\.{patch}; the older etcd v3\.{now}\.{other} must not"
    ):
        check_data_version(f"v3.{before}.{patch}", f"3.{now}.{other}")


@pytest.mark.parametrize(("recorded", "version"), [("", "v3.7.3"), ("v3.7.3", ""), ("v3.7.3", "v0.0.0-dev")])
def test_unknown_versions_of_data_tell_nothing(recorded: str, version: str) -> None:
    check_data_version(recorded, version)


def test_containerd_has_to_speak_the_cri_of_todays_kubelets() -> None:
    check_skew({"kubelet": "v1.37.2", "containerd": "v1.6.20+ds1"})
    with pytest.raises(PlanError, match=r"containerd v1\.5\.18 is too old: kubelets since 1\.26 ask for"):
        check_skew({"containerd": "v1.5.18"})
