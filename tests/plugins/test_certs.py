"""The checks of certificates on files of a control plane that a test has spoilt, each in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubedoctor_certs.checks import CHECKS
from kubedoctor_certs.dates import expired, expires_soon, not_yet_valid
from kubedoctor_certs.issuers import wrong_issuer
from kubedoctor_certs.kubeconfigs import kubeconfig_broken
from kubedoctor_certs.pairs import key_mismatch
from kubedoctor_certs.sans import san_missing
from support.certificates import DAY, NOW, authority
from support.control_plane import ADDRESS, SERVER_NAMES, ControlPlane, messages
from support.tls import secured, serving

from kubedoctor import Check, Silent, TargetKind
from kubedoctor.checks import Outcome, Severity

Spoil = Callable[[ControlPlane], Any]


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    return ControlPlane(tmp_path)


def cut(plane: ControlPlane, text: str) -> str:
    """Return *text* with file names in place of paths."""
    return text.replace(f"{plane.directory}/", "")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_healthy_control_plane_passes(plane: ControlPlane, check: Check) -> None:
    result = plane.run(check)
    assert (result.outcome, messages(result)) == (Outcome.PASSED, [])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_target_without_certificates_is_not_looked_at(plane: ControlPlane, check: Check) -> None:
    from kubedoctor import Instance, Target
    from kubedoctor.testing import run_check

    bare = Target(
        id="x", kind=TargetKind.OTHER, title="x", instances=(Instance(name="etcd", source="x", argv=("etcd",)),)
    )
    assert run_check(check, bare, facts={}).outcome is Outcome.NOT_APPLICABLE


FAULTS: list[tuple[str, Spoil, Check, str]] = [
    (
        "an expired client certificate in a kubeconfig",
        lambda one: one.kubeconfig("controller-manager", certificate=one.ca.issue("system:x", days=-0.125)),
        expired,
        (
            "kube-controller-manager's client certificate expired 3 h ago, so kube-controller-manager is nobody "
            "to the API server"
        ),
    ),
    (
        "an expired serving certificate",
        lambda one: one.issue("apiserver", "kube-apiserver", *SERVER_NAMES, begins=-400, days=-3),
        expired,
        "kube-apiserver's serving certificate expired 3 d ago, so nobody can use the API",
    ),
    (
        "an expired authority",
        lambda one: authority("etcd-ca", days=-1).write(one.directory, "etcd-ca"),
        expired,
        "the authority `CN=etcd-ca` expired 24 h ago, so kube-apiserver cannot use etcd",
    ),
    (
        "a serving certificate of tomorrow",
        lambda one: one.issue("apiserver", "kube-apiserver", *SERVER_NAMES, begins=1),
        not_yet_valid,
        (
            "kube-apiserver's serving certificate becomes valid in 24 h, so nobody can use the API: the clock "
            "here is behind, or was ahead where it was issued"
        ),
    ),
    (
        "a leaf with 20 days left",
        lambda one: one.issue("etcd", "etcd", "127.0.0.1", by=one.etcd_ca, begins=-345, days=20),
        expires_soon,
        "etcd's serving certificate expires in 20 d",
    ),
    (
        "the key of another certificate",
        lambda one: Path(one.path("apiserver.key")).write_bytes(Path(one.path("kubelet.key")).read_bytes()),
        key_mismatch,
        "apiserver.key (--tls-private-key-file) is not the key of kube-apiserver's serving certificate apiserver.crt",
    ),
    (
        "the key of another certificate in a kubeconfig",
        lambda one: one.kubeconfig(
            "scheduler",
            credentials={"client-certificate": "apiserver-etcd-client.crt", "client-key": "etcd.key"},
        ),
        key_mismatch,
        (
            "etcd.key (client-key) is not the key of kube-scheduler's client certificate "
            "apiserver-etcd-client.crt; its key is apiserver-etcd-client.key"
        ),
    ),
    (
        "a signing key that is a service account's",
        lambda one: one.flags["kube-controller-manager"].update(
            {"cluster-signing-key-file": one.write("sa.key", authority().key_pem)}
        ),
        key_mismatch,
        "sa.key (--cluster-signing-key-file) is not the key of kube-controller-manager's signing certificate ca.crt",
    ),
    (
        "a public key where a private one belongs",
        lambda one: one.write("etcd.key", authority().public_pem),
        key_mismatch,
        "etcd.key holds a public key where etcd needs the private one",
    ),
    (
        "a missing key",
        lambda one: Path(one.path("etcd.key")).unlink(),
        key_mismatch,
        "the key of etcd's serving certificate does not exist: etcd.key (--key-file)",
    ),
    (
        "a damaged certificate",
        lambda one: one.write("etcd.crt", "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"),
        key_mismatch,
        ("etcd's serving certificate (--cert-file) is no good: etcd.crt has a damaged certificate in line 1"),
    ),
    (
        "the cluster's authority instead of etcd's",
        lambda one: one.flags["kube-apiserver"].update({"etcd-cafile": one.path("ca.crt")}),
        wrong_issuer,
        (
            "kube-apiserver does not trust etcd's serving certificate: it is signed by `CN=etcd-ca`, and ca.crt "
            "(--etcd-cafile) holds `CN=kubernetes-ca`"
        ),
    ),
    (
        "a kubelet with a self-signed certificate",
        lambda one: authority("a", days=300).write(one.directory, "kubelet"),
        wrong_issuer,
        (
            "kube-apiserver does not trust kubelet's serving certificate: it is signed by itself, and ca.crt "
            "(--kubelet-certificate-authority) holds `CN=kubernetes-ca`"
        ),
    ),
    (
        "a leaf in the place of an authority",
        lambda one: one.flags["etcd"].update({"trusted-ca-file": one.path("apiserver.crt")}),
        wrong_issuer,
        (
            "etcd does not trust kube-apiserver's client certificate to etcd: it is signed by `CN=etcd-ca`, and "
            "apiserver.crt (--trusted-ca-file) holds `CN=kube-apiserver`"
        ),
    ),
    (
        "a missing authority",
        lambda one: one.flags["kube-controller-manager"].update({"root-ca-file": one.path("none.crt")}),
        wrong_issuer,
        (
            "the file of authorities that kube-controller-manager takes certificates of (--root-ca-file) does "
            "not exist: none.crt"
        ),
    ),
    (
        "a serving certificate without the address that is used",
        lambda one: one.issue("apiserver", "kube-apiserver", *SERVER_NAMES[:-1]),
        san_missing,
        (
            f"kube-apiserver's serving certificate is not for {ADDRESS}, by which it is dialled "
            "(kube-controller-manager, kube-scheduler, kubelet, kubectl)"
        ),
    ),
    (
        "an etcd certificate with a name only",
        lambda one: one.issue("etcd", "etcd", "etcd-0.example", by=one.etcd_ca),
        san_missing,
        "etcd's serving certificate is not for 127.0.0.1, by which it is dialled (kube-apiserver)",
    ),
    (
        "a serving certificate of another service range",
        lambda one: one.flags["kube-apiserver"].update({"service-cluster-ip-range": "10.96.0.0/16,fd00::/112"}),
        san_missing,
        (
            "kube-apiserver's serving certificate is not for 10.96.0.1, by which it is dialled (the kubernetes "
            "service, which pods use)"
        ),
    ),
    (
        "a missing kubeconfig",
        lambda one: Path(one.path("controller-manager.conf")).unlink(),
        kubeconfig_broken,
        "the kubeconfig of kube-controller-manager (--kubeconfig) does not exist: controller-manager.conf",
    ),
    (
        "a kubeconfig that is none",
        lambda one: one.write("scheduler.conf", "a: b: c"),
        kubeconfig_broken,
        "the kubeconfig of kube-scheduler cannot be read: scheduler.conf is not YAML: line 1",
    ),
    (
        "a user who does not exist",
        lambda one: one.kubeconfig(
            "admin", contexts=[{"name": "default", "context": {"cluster": "kubernetes", "user": "root"}}]
        ),
        kubeconfig_broken,
        (
            "the kubeconfig of kubectl is broken: context `default` refers to user `root`, which does not exist, "
            "in admin.conf"
        ),
    ),
    (
        "http instead of https",
        lambda one: one.kubeconfig("admin", server=f"http://{ADDRESS}:6443"),
        kubeconfig_broken,
        (
            "the kubeconfig of kubectl says http where the API server speaks https only: http://198.18.0.1:6443, "
            "in admin.conf"
        ),
    ),
    (
        "a file that is not there",
        lambda one: one.kubeconfig(
            "scheduler", cluster={"server": f"https://{ADDRESS}:6443", "certificate-authority": "gone.crt"}
        ),
        kubeconfig_broken,
        (
            "the kubeconfig of kube-scheduler names a certificate authority that is no good: gone.crt does not "
            "exist, in scheduler.conf"
        ),
    ),
    (
        "an exec plugin that is not there",
        lambda one: one.kubeconfig("admin", credentials={"exec": {"command": "no-such-plugin", "env": []}}),
        kubeconfig_broken,
        "the kubeconfig of kubectl needs the program `no-such-plugin` to log in, which is not there, in admin.conf",
    ),
]


@pytest.mark.parametrize(("spoil", "check", "message"), [pytest.param(*one[1:], id=one[0]) for one in FAULTS])
def test_a_fault_is_found_and_named(plane: ControlPlane, spoil: Spoil, check: Check, message: str) -> None:
    spoil(plane)
    result = plane.run(check)
    assert [cut(plane, one) for one in messages(result)] == [message]
    assert result.findings[0].fixes
    assert result.findings[0].subject.startswith((str(plane.directory), "kube-apiserver --", "etcd --"))


@pytest.mark.parametrize(("spoil", "check", "message"), [pytest.param(*one[1:], id=one[0]) for one in FAULTS])
def test_a_fault_is_one_of_one_check_only(plane: ControlPlane, spoil: Spoil, check: Check, message: str) -> None:
    spoil(plane)
    others = {one.id: messages(plane.run(one)) for one in CHECKS if one is not check}
    allowed = {
        "certs.wrong-issuer",  # a file of authorities that is another file fails here too
    }
    assert not {name: found for name, found in others.items() if found and name not in allowed}


def test_two_authorities_of_one_name_are_told_apart_by_their_fingerprints(plane: ControlPlane) -> None:
    old = authority("kubernetes-ca")
    plane.kubeconfig("admin", ca=old)
    result = plane.run(wrong_issuer)
    (message,) = messages(result)
    assert message.startswith(
        "kubectl does not trust kube-apiserver's serving certificate: the key of `CN=kubernetes-ca`"
    )
    assert message.endswith("did not sign it, that of " + message.rpartition("that of ")[2])
    assert "two authorities of one name" in message
    finding = result.findings[0]
    assert finding.subject == f"{plane.directory}/admin.conf (certificate-authority-data)"
    shown = " ".join(one.observed for one in finding.evidence)
    for one in (old, plane.ca):
        from cryptography.hazmat.primitives import hashes

        assert one.certificate.fingerprint(hashes.SHA256()).hex(":").upper()[:23] in shown
    assert finding.fixes[0].summary.startswith(f"put the authority in {plane.directory}/ca.crt in place of")


def test_one_wrong_file_of_authorities_is_one_finding_however_many_it_concerns(plane: ControlPlane) -> None:
    plane.flags["kube-apiserver"]["client-ca-file"] = plane.path("front-proxy-ca.crt")
    result = plane.run(wrong_issuer)
    (finding,) = result.findings
    assert finding.subject == "kube-apiserver --client-ca-file"
    nobody = [one.observed for one in finding.evidence if "is nobody to the API server" in one.observed]
    assert len(nobody) == 4
    assert finding.fixes[0].summary.startswith("give kube-apiserver the authority in")


def test_a_certificate_that_nobody_takes_is_one_finding_about_it(plane: ControlPlane) -> None:
    stranger = authority("stranger")
    plane.issue("apiserver", "kube-apiserver", *SERVER_NAMES, by=stranger)
    result = plane.run(wrong_issuer)
    assert [one.subject for one in result.findings] == [plane.path("apiserver.crt")]


def test_a_chain_with_its_intermediate_is_trusted(plane: ControlPlane) -> None:
    middle = authority("middle", by=plane.ca)
    leaf = plane.issue("apiserver", "kube-apiserver", *SERVER_NAMES, by=middle)
    assert [one.outcome for one in [plane.run(wrong_issuer)]] == [Outcome.FAILED]
    plane.write("apiserver.crt", leaf.pem + middle.pem)
    assert messages(plane.run(wrong_issuer)) == []


def test_an_old_authority_in_a_bundle_does_no_harm(plane: ControlPlane) -> None:
    plane.write("ca.crt", plane.ca.pem + authority("kubernetes-ca", days=-5).pem)
    for check in (expired, expires_soon, not_yet_valid, wrong_issuer):
        assert messages(plane.run(check)) == []


def test_the_authority_of_a_bundle_that_is_needed_counts(plane: ControlPlane) -> None:
    old = authority("etcd-ca", days=-5)
    plane.issue("etcd", "etcd", "127.0.0.1", by=old)
    plane.write("etcd-ca.crt", plane.etcd_ca.pem + old.pem)
    assert [cut(plane, one) for one in messages(plane.run(expired))] == [
        "the authority `CN=etcd-ca` expired 5 d ago, so kube-apiserver cannot use etcd"
    ]


@pytest.mark.parametrize(
    ("life", "left", "severity"),
    [
        (365, 31, None),
        (365, 29, Severity.WARNING),
        (365, 6.9, Severity.ERROR),
        (3650, 31, None),
        (90, 10, None),
        (90, 8, Severity.WARNING),
        (90, 4, Severity.ERROR),
        (1, 0.11, None),
        (1, 0.09, Severity.WARNING),
        (1, 0.04, Severity.ERROR),
    ],
)
def test_how_soon_is_soon_depends_on_the_life_of_a_certificate(
    plane: ControlPlane, life: float, left: float, severity: Severity | None
) -> None:
    plane.issue("etcd", "etcd", "127.0.0.1", by=plane.etcd_ca, begins=left - life, days=left)
    assert [one.severity for one in plane.run(expires_soon).findings] == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("life", "left", "severity"),
    [
        (3650, 181, None),
        (3650, 179, Severity.WARNING),
        (3650, 29, Severity.ERROR),
        (365, 74, None),  # that of local-up-cluster.sh, of a year
        (365, 72, Severity.WARNING),
        (365, 18, Severity.ERROR),
    ],
)
def test_an_authority_is_warned_of_earlier(
    plane: ControlPlane, life: float, left: float, severity: Severity | None
) -> None:
    now = NOW.timestamp() + (3650 - left) * DAY if life == 3650 else None
    if now is None:
        short = authority("front-proxy-ca", begins=left - life, days=left)
        short.write(plane.directory, "front-proxy-ca")
        plane.issue("front-proxy-client", "x", by=short, days=left + 1)
        found = plane.run(expires_soon).findings
    else:
        for one in ("ca", "etcd-ca"):
            authority(one, days=7300).write(plane.directory, one)
        found = plane.run(expires_soon, now=now).findings
    assert [one.severity for one in found if one.subject == plane.path("front-proxy-ca.crt")] == (
        [] if severity is None else [severity]
    )


def test_what_nobody_looks_at_is_a_warning_when_it_is_over(plane: ControlPlane) -> None:
    pki = plane.directory / "pki"
    authority("a@1", days=-300).write(pki, "kubelet")
    plane.write("kubelet.yaml", yaml.safe_dump(plane.kubelet_configuration(tlsCertFile=None, tlsPrivateKeyFile=None)))
    plane.flags["kubelet"]["cert-dir"] = str(pki)
    assert [one.severity for one in plane.run(expired).findings] == [Severity.ERROR]
    del plane.flags["kube-apiserver"]["kubelet-certificate-authority"]
    assert [one.severity for one in plane.run(expired).findings] == [Severity.WARNING]
    authority("a@1", begins=-364, days=1).write(pki, "kubelet")
    assert messages(plane.run(expires_soon)) == []


def test_the_address_of_the_service_is_needed_where_there_are_pods(plane: ControlPlane) -> None:
    plane.flags["kube-apiserver"]["service-cluster-ip-range"] = "10.96.0.0/16"
    assert "is not for 10.96.0.1" in messages(plane.run(san_missing))[0]
    del plane.flags["kubelet"]  # as kwokctl has it
    assert messages(plane.run(san_missing)) == []


def test_names_that_nobody_is_seen_to_use_are_a_warning(plane: ControlPlane) -> None:
    plane.issue("apiserver", "kube-apiserver", "localhost", "10.0.0.1", "127.0.0.1", ADDRESS)
    (finding,) = plane.run(san_missing).findings
    assert finding.severity is Severity.WARNING
    assert finding.message == (
        "kube-apiserver's serving certificate is not for kubernetes.default.svc; nor for kubernetes, "
        "kubernetes.default, kubernetes.default.svc.cluster.local"
    )


def test_what_local_up_cluster_leaves_out_is_no_finding(plane: ControlPlane) -> None:
    plane.kind = TargetKind.LOCAL_UP_CLUSTER
    plane.issue(
        "apiserver", "kubernetes.default", "kubernetes.default.svc", "localhost", "10.0.0.1", "127.0.0.1", ADDRESS
    )
    assert messages(plane.run(san_missing)) == []


def test_what_kubeadm_puts_in_is_missed_in_its_certificates(plane: ControlPlane) -> None:
    plane.kind = TargetKind.KUBEADM
    plane.issue("apiserver", "x", "kubernetes.default.svc", "localhost", "10.0.0.1", "127.0.0.1", ADDRESS)
    assert "is not for kubernetes; nor for kubernetes.default" in messages(plane.run(san_missing))[0]


def test_a_name_that_another_certificate_is_for_by_sni_is_there(plane: ControlPlane) -> None:
    plane.kubeconfig("admin", server="https://api.example.com:6443")
    assert "is not for api.example.com" in messages(plane.run(san_missing))[0]
    plane.issue("sni", "x", "*.example.com")
    plane.flags["kube-apiserver"]["tls-sni-cert-key"] = f"{plane.path('sni.crt')},{plane.path('sni.key')}"
    assert messages(plane.run(san_missing)) == []


def test_a_name_in_a_kubeconfig_that_overrides_the_servers_counts(plane: ControlPlane) -> None:
    cluster = {"server": "https://203.0.113.9:6443", "tls-server-name": "kubernetes", "certificate-authority": "ca.crt"}
    plane.kubeconfig("admin", cluster=cluster)
    assert messages(plane.run(san_missing)) == []
    plane.kubeconfig("admin", cluster={**cluster, "tls-server-name": "elsewhere"})
    assert "is not for elsewhere" in messages(plane.run(san_missing))[0]


def test_several_etcds_are_dialled_each_by_its_own_name(plane: ControlPlane) -> None:
    plane.flags["kube-apiserver"]["etcd-servers"] = "https://127.0.0.1:2379,https://10.9.9.9:2379,https://other:2379"
    assert messages(plane.run(san_missing)) == []


def test_an_etcd_that_the_api_server_does_not_use_is_no_peer_of_it(plane: ControlPlane) -> None:
    authority("strange").write(plane.directory, "etcd-ca2")
    plane.flags["kube-apiserver"]["etcd-cafile"] = plane.path("etcd-ca2.crt")
    plane.flags["etcd"]["listen-client-urls"] = "https://127.0.0.1:12379"
    assert messages(plane.run(wrong_issuer)) == []


def test_members_of_etcd_have_to_trust_each_other_when_there_are_several(plane: ControlPlane) -> None:
    plane.issue("peer", "etcd", "127.0.0.1", by=authority("peers"))
    plane.flags["etcd"] |= {
        "peer-cert-file": plane.path("peer.crt"),
        "peer-key-file": plane.path("peer.key"),
        "peer-trusted-ca-file": plane.path("etcd-ca.crt"),
        "initial-cluster": "a=https://127.0.0.1:2380",
    }
    assert messages(plane.run(wrong_issuer)) == []
    plane.flags["etcd"]["initial-cluster"] += ",b=https://10.0.0.9:2380"
    assert "etcd does not trust etcd's peer certificate" in messages(plane.run(wrong_issuer))[0]


def test_a_kubelet_needs_one_of_its_two_kubeconfigs(plane: ControlPlane) -> None:
    plane.flags["kubelet"]["bootstrap-kubeconfig"] = plane.path("bootstrap.conf")
    assert messages(plane.run(kubeconfig_broken)) == []
    Path(plane.path("kubelet.conf")).rename(plane.path("bootstrap.conf"))
    assert messages(plane.run(kubeconfig_broken)) == []
    Path(plane.path("bootstrap.conf")).unlink()
    assert len(messages(plane.run(kubeconfig_broken))) == 2


def test_contexts_that_are_not_used_are_mentioned_only(plane: ControlPlane) -> None:
    contexts = [
        {"name": "default", "context": {"cluster": "kubernetes", "user": "admin"}},
        {"name": "old", "context": {"cluster": "gone", "user": "admin"}},
    ]
    plane.kubeconfig("admin", contexts=contexts)
    assert [one.severity for one in plane.run(kubeconfig_broken).findings] == [Severity.INFO]


def test_a_webhooks_kubeconfig_is_no_way_to_the_api(plane: ControlPlane) -> None:
    path = plane.kubeconfig(
        "webhook", ca=authority("elsewhere"), server="https://203.0.113.1/authorize", credentials={"namespace": "x"}
    )
    plane.flags["kube-apiserver"]["authorization-webhook-config-file"] = path
    for check in CHECKS:
        assert messages(plane.run(check)) == []
    plane.write("webhook.conf", "current-context: none")
    assert "the current context `none` does not exist" in messages(plane.run(kubeconfig_broken))[0]


def test_master_counts_instead_of_the_server_of_a_kubeconfig(plane: ControlPlane) -> None:
    plane.kubeconfig("scheduler", server="")
    plane.flags["kube-scheduler"]["master"] = "https://elsewhere:6443"
    assert messages(plane.run(kubeconfig_broken)) == []
    assert "is not for elsewhere" in messages(plane.run(san_missing))[0]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_without_the_right_to_read_the_rest_is_still_looked_at(plane: ControlPlane, check: Check) -> None:
    needed = {"certs.key-mismatch": ".key"}.get(check.id, ".conf")
    result = plane.run_without(check, needed)
    assert result.outcome is Outcome.UNKNOWN
    assert result.reason.startswith("needs root to read it")
    plane.issue("etcd", "etcd", "nowhere", by=authority("etcd-ca"), begins=5, days=6)
    if check in (not_yet_valid, wrong_issuer, san_missing):
        assert plane.run_without(check, needed).outcome is Outcome.FAILED


def test_keys_that_cannot_be_read_make_only_the_check_of_keys_unknown(plane: ControlPlane) -> None:
    outcomes = {check.id: plane.run_without(check, ".key").outcome for check in CHECKS}
    assert outcomes.pop("certs.key-mismatch") is Outcome.UNKNOWN
    assert set(outcomes.values()) == {Outcome.PASSED}


def test_a_disk_that_does_not_answer_leaves_it_unknown(plane: ControlPlane) -> None:
    result = plane.run_without(expired, "etcd.crt", error=Silent("etcd.crt: Stale file handle"))
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "etcd.crt: Stale file handle")


def test_what_is_served_counts_though_the_file_is_good_by_now(plane: ControlPlane, tmp_path: Path) -> None:
    old = plane.ca.issue("kube-apiserver", *SERVER_NAMES, begins=-9, days=-2)
    plane.flags["kube-apiserver"] |= {"bind-address": "127.0.0.1"}
    plane.pid = 4_194_305  # running: no process has such a number
    with serving(secured(tmp_path / "old", old)) as port:
        plane.flags["kube-apiserver"]["secure-port"] = str(port)
        (finding,) = plane.run(expired).findings
    assert finding.message == (
        "the certificate that kube-apiserver serves, no longer the one in its file, expired 2 d ago, so nobody can use "
        "the API"
    )
    assert finding.evidence[0].source == f"127.0.0.1 port {port}"
    assert finding.fixes[0].summary == "restart kube-apiserver: the file is good"


def test_what_the_cluster_is_made_by_tells_how_to_renew(plane: ControlPlane) -> None:
    plane.issue("etcd", "etcd", "127.0.0.1", by=plane.etcd_ca, begins=-9, days=-1)
    plane.kind = TargetKind.KUBEDOCTOR
    (finding,) = plane.run(expired).findings
    (fix,) = finding.fixes
    assert fix.steps[0].argv == ("kubedoctor", "certs", "renew", "--name", plane.directory.name, "etcd")
    assert fix.steps[1].component == "etcd"
