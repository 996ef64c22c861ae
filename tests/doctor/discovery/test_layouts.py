"""Whose cluster it is, by what its components are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.doctor.discovery.layouts import Layout, layout_of
from kubedoctor.targets import Instance, TargetKind


def told(*argv: str, name: str = "") -> Layout | None:
    return layout_of(Instance(name=name or argv[0].rpartition("/")[2], source="the test", argv=argv))


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        (TargetKind.KUBEADM, "kube-apiserver --client-ca-file=/etc/kubernetes/pki/ca.crt"),
        (TargetKind.KUBEADM, "kube-scheduler --kubeconfig=/etc/kubernetes/scheduler.conf"),
        # minikube with its driver `none`: kubeadm's files, with certificates and programs elsewhere
        (TargetKind.KUBEADM, "kube-apiserver --tls-cert-file=/var/lib/minikube/certs/apiserver.crt"),
        (TargetKind.KUBEADM, "etcd --data-dir=/var/lib/minikube/etcd"),
        (TargetKind.KUBEADM, "/var/lib/minikube/binaries/v1.37.2/kubelet --config=/var/lib/kubelet/config.yaml"),
        (TargetKind.LOCAL_UP_CLUSTER, "kube-apiserver --client-ca-file=/var/run/kubernetes/client-ca.crt"),
        (TargetKind.LOCAL_UP_CLUSTER, "kubelet --kubeconfig=/run/kubernetes/kubelet.kubeconfig"),
        (TargetKind.K3S, "containerd -c /var/lib/rancher/k3s/agent/etc/containerd/config.toml"),
        (TargetKind.K3S, "containerd -a /run/k3s/containerd/containerd.sock"),
        (TargetKind.K0S, "/var/lib/k0s/bin/kube-apiserver --secure-port=6443"),
        (None, "etcd --data-dir=/var/lib/etcd"),
        (None, "kube-apiserver --cert-dir=/srv/kubernetes"),
    ],
)
def test_a_layout_is_known_by_its_paths(kind: TargetKind | None, argv: str) -> None:
    found = told(*argv.split())
    assert (found.kind if found else None) == kind


def test_clusters_of_one_kind_are_told_apart_by_their_directories() -> None:
    found = told("etcd", "--data-dir=/root/.kwok/clusters/one/etcd")
    assert found == Layout(TargetKind.KWOKCTL, "/root/.kwok/clusters/one")
    assert found.name == "one"
    ours = told("/usr/bin/etcd", "--data-dir=/var/lib/kubedoctor/clusters/a-b/places/node-1/data/etcd")
    assert ours == Layout(TargetKind.KUBEDOCTOR, "/var/lib/kubedoctor/clusters/a-b")


@given(st.lists(st.text()))
def test_any_command_line_has_a_layout_or_none(argv: list[str]) -> None:
    told("kubelet", *argv)
