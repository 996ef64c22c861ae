"""The checks of certificates on what distributions lay out: local-up-cluster.sh, k3s, kubeadm."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kubedoctor_certs.checks import CHECKS
from kubedoctor_certs.dates import expired
from kubedoctor_certs.fixes import renewal
from kubedoctor_certs.issuers import wrong_issuer
from kubedoctor_certs.pairs import key_mismatch
from kubedoctor_certs.sources import Part, Source, Use
from support.certificates import NOW, Issued, authority
from support.control_plane import ControlPlane, looked_at, messages

from kubedoctor import Check, Instance, Target, TargetKind
from kubedoctor.checks import Outcome

ADDRESS = "198.18.0.1"


# --- local-up-cluster.sh ----------------------------------------------------------------------------------------------


def one_name() -> Issued:
    """Return an authority as the script makes them: of a year, all of one name, with different keys."""
    return authority("ca", days=364)


def local_up(directory: Path) -> ControlPlane:
    """A cluster of the script: three authorities of the same name, few names, leaves of five years."""
    plane = ControlPlane(directory, TargetKind.LOCAL_UP_CLUSTER, ca=one_name(), etcd_ca=one_name(), front_ca=one_name())
    server_ca, client_ca, header_ca = plane.ca, plane.etcd_ca, plane.front_ca
    for name, one in (("server-ca", server_ca), ("client-ca", client_ca), ("request-header-ca", header_ca)):
        one.write(directory, name)
    names = ("kubernetes.default.svc", "localhost", "127.0.0.1", "10.0.0.1")
    plane.issue("serving-kube-apiserver", "kubernetes.default", *names, by=server_ca, days=1825, usages=["server"])
    for name in ("kube-apiserver", "auth-proxy"):
        by = client_ca if name == "kube-apiserver" else header_ca
        plane.issue(f"client-{name}", name, by=by, days=1825, usages=["client"])
    for user in ("controller", "scheduler", "admin"):
        plane.kubeconfig(
            user, certificate=client_ca.issue(user, days=1825), ca=server_ca, server="https://localhost:6443"
        )
    path = plane.path
    plane.flags = {
        "etcd": {"listen-client-urls": "http://127.0.0.1:2379"},
        "kube-apiserver": {
            "tls-cert-file": path("serving-kube-apiserver.crt"),
            "tls-private-key-file": path("serving-kube-apiserver.key"),
            "client-ca-file": path("client-ca.crt"),
            "kubelet-client-certificate": path("client-kube-apiserver.crt"),
            "kubelet-client-key": path("client-kube-apiserver.key"),
            "kubelet-certificate-authority": path("client-ca.crt"),
            "etcd-servers": "http://127.0.0.1:2379",
            "requestheader-client-ca-file": path("request-header-ca.crt"),
            "proxy-client-cert-file": path("client-auth-proxy.crt"),
            "proxy-client-key-file": path("client-auth-proxy.key"),
            "service-cluster-ip-range": "10.0.0.0/24",
        },
        "kube-controller-manager": {
            "root-ca-file": path("server-ca.crt"),
            "cluster-signing-cert-file": path("client-ca.crt"),
            "cluster-signing-key-file": path("client-ca.key"),
            "kubeconfig": path("controller.conf"),
            "master": "https://localhost:6443",
        },
        "kube-scheduler": {"config": path("scheduler.yaml"), "authentication-kubeconfig": path("scheduler.conf")},
        "kubelet": {
            "config": path("kubelet.yaml"),
            "bootstrap-kubeconfig": path("scheduler.conf"),
            "kubeconfig": path("kubelet-rotated.conf"),
            "cert-dir": path("pki"),
        },
    }
    plane.write("scheduler.yaml", yaml.safe_dump({"clientConnection": {"kubeconfig": path("scheduler.conf")}}))
    configuration = plane.kubelet_configuration(tlsCertFile=None, tlsPrivateKeyFile=None, serverTLSBootstrap=True)
    configuration["authentication"]["x509"]["clientCAFile"] = path("client-ca.crt")
    plane.write("kubelet.yaml", yaml.safe_dump(configuration))
    return plane


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_cluster_of_local_up_cluster_is_well(tmp_path: Path, check: Check) -> None:
    result = local_up(tmp_path).run(check)
    assert (result.outcome, messages(result)) == (Outcome.PASSED, [])


def test_its_three_authorities_of_one_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    plane = local_up(tmp_path)
    plane.flags["kube-apiserver"]["client-ca-file"] = plane.path("server-ca.crt")
    (finding,) = plane.run(wrong_issuer).findings
    assert finding.subject == "kube-apiserver --client-ca-file"
    assert "two authorities of one name" in finding.message
    assert finding.fixes[0].summary.endswith(f"--client-ca-file={plane.path('client-ca.crt')}")


def test_a_serving_certificate_that_the_cluster_signed_for_a_kubelet_is_looked_at(tmp_path: Path) -> None:
    plane = local_up(tmp_path)
    leaf = plane.etcd_ca.issue("system:node:127.0.0.1", "127.0.0.1", days=-1)
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "kubelet-server-current.pem").write_bytes(leaf.pem + leaf.key_pem)
    assert messages(plane.run(expired)) == [
        "kubelet's serving certificate expired 24 h ago, so `kubectl exec` and `logs` do not work"
    ]
    assert messages(plane.run(key_mismatch)) == []


# --- k3s --------------------------------------------------------------------------------------------------------------


def test_what_k3s_keeps_for_its_components_is_looked_at(tmp_path: Path) -> None:
    directory = tmp_path / "server" / "tls"
    ca = authority("k3s-server-ca@1")
    ca.write(directory, "server-ca")
    (directory / "server-ca.key").unlink()
    ca.issue("kube-apiserver", days=-2).write(directory, "serving-kube-apiserver")
    ca.issue("x").write(directory, "client-admin")
    ca.issue("y").write(directory, "y")
    (directory / "y.key").rename(directory / "client-admin.key")
    k3s = Instance(name="k3s", source="the test", argv=("k3s", "server", "--data-dir", str(tmp_path)))
    target = Target(id="k3s", kind=TargetKind.K3S, title="k3s", instances=(k3s,))
    now = NOW.timestamp()
    assert messages(looked_at(expired, target, now)) == ["k3s's certificate serving-kube-apiserver expired 2 d ago"]
    (message,) = messages(looked_at(key_mismatch, target, now))
    assert message.endswith(f"is not the key of k3s's certificate client-admin {directory}/client-admin.crt")


# --- kubeadm ----------------------------------------------------------------------------------------------------------


def test_commands_of_kubeadm_name_what_they_renew() -> None:
    target = Target(id="kubeadm", kind=TargetKind.KUBEADM, title="kubeadm")
    for path, part, name in (
        ("pki/apiserver.crt", Part.NONE, "apiserver"),
        ("pki/etcd/peer.crt", Part.NONE, "etcd-peer"),
        ("admin.conf", Part.CERTIFICATE, "admin.conf"),
    ):
        fix = renewal(target, Source(f"/etc/kubernetes/{path}", part=part), "kubectl", Use.CLIENT)
        assert [step.argv for step in fix.steps] == [("kubeadm", "certs", "renew", name)]
    for path in ("kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem", "pki/x/y.crt"):
        assert renewal(target, Source(path), "kubelet", Use.CLIENT).steps == ()
