from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import Instance, Target, TargetKind
from kubedoctor.doctor.judge import CheckContext
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.cluster_network import (
    KubeletDns,
    ServiceNetwork,
    k3s_settings,
    kubelet_dns,
    nodes,
    service_network,
    told_dns,
)
from kubedoctor.testing import FakeLook


def instance(name: str, *flags: str, pid: int = 10, **more: object) -> Instance:
    return Instance(name=name, source="x", pid=pid, argv=(name, *flags), **more)  # type: ignore[arg-type]


def context(*instances: Instance, **facts: object) -> CheckContext:
    known = {"k3s": (k3s_settings, "/etc/rancher/k3s/config.yaml", 0), "kubelet": (kubelet_dns, "/k.yaml", 0)}
    target = Target(id="a", kind=TargetKind.OTHER, title="a", instances=instances)
    return CheckContext(FakeLook({known[name]: value for name, value in facts.items()}), target)


def network(*instances: Instance, **facts: object) -> ServiceNetwork | None:
    return service_network(context(*instances, **facts))


@pytest.mark.parametrize(
    ("flag", "address", "whole"),
    [
        ("10.96.0.0/12", "10.96.0.1", "10.96.0.0/12"),
        ("10.96.0.0/12,fd00::/112", "10.96.0.1", "10.96.0.0/12"),
        ("fd00::/112,10.96.0.0/12", "fd00::1", "fd00::/112"),
        ("10.96.0.5/24", "10.96.0.1", "10.96.0.0/24"),
    ],
)
def test_the_service_kubernetes_has_the_first_address_of_the_first_range(flag: str, address: str, whole: str) -> None:
    found = network(instance("kube-apiserver", f"--service-cluster-ip-range={flag}"))
    assert found is not None
    assert (found.address, found.network) == (address, whole)


def test_without_the_flag_it_is_the_default() -> None:
    found = network(instance("kube-apiserver"))
    assert found is not None
    assert (found.address, found.source) == ("10.0.0.1", "default of --service-cluster-ip-range")


def test_k3s_has_flags_a_file_and_a_default_of_its_own() -> None:
    for argv, settings, address in (
        (("server", "--service-cidr=10.99.0.0/16"), {"service-cidr": "10.98.0.0/16"}, "10.99.0.1"),
        (("server",), {"service-cidr": "10.98.0.0/16"}, "10.98.0.1"),
        (("server",), {}, "10.43.0.1"),
    ):
        found = network(instance("k3s", *argv), k3s=settings)
        assert found is not None
        assert found.address == address
    assert network(instance("k3s", "agent")) is None


def test_on_a_worker_the_environment_of_a_pod_tells() -> None:
    proxy = instance("kube-proxy", environment={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    found = network(instance("kubelet"), proxy)
    assert found is not None
    assert (found.address, found.network) == ("10.96.0.1", "")
    odd = instance("kube-proxy", environment={"KUBERNETES_SERVICE_HOST": "kubernetes"})
    assert network(odd) is None


@given(st.text(max_size=30))
def test_any_flag_is_a_range_or_none(text: str) -> None:
    found = network(instance("kube-apiserver", f"--service-cluster-ip-range={text}"))
    assert found is None or found.address


def test_nodes_are_where_kubelet_or_kube_proxy_run_or_should() -> None:
    running = instance("kubelet", net=7)
    dead = instance("kube-proxy", pid=0, net=7)
    other = instance("kube-proxy", pid=0, net=8)
    planned = instance("kubelet", pid=0, planned=True)
    target = Target(id="a", kind=TargetKind.OTHER, title="a", instances=(running, dead, other, planned))
    (node,) = nodes(target)
    assert (node.net, node.instances) == (7, (running, dead))
    assert node.running("kubelet", "kube-proxy") == (running,)


def test_flags_of_a_kubelet_win_over_its_file() -> None:
    file = KubeletDns(servers=("10.0.0.10", "odd"), domain="file.local", resolv_conf="/run/resolv.conf")
    plain = instance("kubelet", "--config=/k.yaml")
    assert told_dns(context(plain, kubelet=file), plain) == KubeletDns(
        servers=("10.0.0.10",), domain="file.local", resolv_conf="/run/resolv.conf"
    )
    flags = ("--cluster-dns=10.0.0.11,fd00::a", "--cluster-domain=flag.local", "--resolv-conf=/etc/other")
    told = instance("kubelet", "--config=/k.yaml", *flags)
    assert told_dns(context(told, kubelet=file), told) == KubeletDns(
        servers=("10.0.0.11", "fd00::a"), domain="flag.local", resolv_conf="/etc/other"
    )
    assert told_dns(context(), instance("kubelet")) == KubeletDns()


def test_k3s_tells_pods_the_tenth_address_of_its_range() -> None:
    server = instance("k3s", "server")
    assert told_dns(context(server, k3s={}), server).servers == ("10.43.0.10",)
    other = instance("k3s", "server", "--cluster-dns=10.43.0.99")
    assert told_dns(context(other, k3s={"cluster-domain": "k.example"}), other) == KubeletDns(
        servers=("10.43.0.99",), domain="k.example"
    )
    agent = instance("k3s", "agent")
    assert told_dns(context(agent, k3s={}), agent).servers == ()


def test_files_are_read_with_what_they_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("clusterDNS: [10.0.0.10, 7]\nresolvConf: /run/x\nclusterDomain: a.b\n")
    assert SharedLook().get(kubelet_dns, str(path), 0) == KubeletDns(
        servers=("10.0.0.10",), domain="a.b", resolv_conf="/run/x"
    )
    path.write_text("kind: KubeletConfiguration\n")
    assert SharedLook().get(kubelet_dns, str(path), 0) == KubeletDns()
    path.write_text("service-cidr: [10.43.0.0/16, fd00::/112]\ndisable-kube-proxy: true\ntoken: secret\n")
    assert SharedLook().get(k3s_settings, str(path), 0) == {
        "service-cidr": "10.43.0.0/16,fd00::/112",
        "disable-kube-proxy": "true",
    }
    assert SharedLook().get(k3s_settings, str(tmp_path / "none"), 0) == {}
    with pytest.raises(Absent):
        SharedLook().get(kubelet_dns, str(tmp_path / "none"), 0)


@given(st.binary(max_size=100))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(Malformed):
        SharedLook().get(kubelet_dns, str(path), 0)
    with contextlib.suppress(Malformed):
        SharedLook().get(k3s_settings, str(path), 0)
