"""Recordings of real faults of certificates: what was found there is found here, without the machine."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from kubedoctor_certs.checks import CHECKS

from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.recording import replay, unpack

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
FAULTS = {
    "healthy-certs": ("", ""),
    "healthy-certs-node": ("", ""),
    "certs.expired.kubelet": ("certs.expired", "kubelet's client certificate expired 24 h ago"),
    "certs.wrong-issuer.kubelet": ("certs.wrong-issuer", "kubelet does not trust kube-apiserver's client certificate"),
    "certs.expired": ("certs.expired", "kube-controller-manager's client certificate expired 3 h ago"),
    "certs.expires-soon": ("certs.expires-soon", "kube-scheduler's client certificate expires in 24 d"),
    "certs.not-yet-valid": ("certs.not-yet-valid", "kube-apiserver's serving certificate becomes valid in 2"),
    "certs.san-missing": ("certs.san-missing", "kube-apiserver's serving certificate is not for 127.0.0.1"),
    "certs.key-mismatch": ("certs.key-mismatch", "/serving-kube-apiserver.key (--tls-private-key-file) is not the key"),
    "certs.wrong-issuer": ("certs.wrong-issuer", "kube-apiserver does not trust etcd's serving certificate"),
    "certs.wrong-issuer.kubeconfig": ("certs.wrong-issuer", "two authorities of one name"),
    "certs.kubeconfig-broken": ("certs.kubeconfig-broken", "refers to user `root`, which does not exist"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_recorded_fault_is_found_again_and_nothing_else(name: str) -> None:
    check, message = FAULTS[name]
    recording = unpack((RECORDINGS / f"{name}.json.gz").read_bytes())
    (target,) = [one for one in recording.targets if one.id == "local"]
    look = replay(recording)
    found, blind = {}, {}
    for one in CHECKS:
        judgement = Judgement()
        judgement.judge(one, CheckContext(look, target))
        if judgement.findings:
            found[one.id] = [finding.message for finding in judgement.findings]
        if judgement.reason:
            blind[one.id] = judgement.reason
    assert list(found) == ([check] if check else [])
    assert message in "".join(found.get(check, []))
    assert len(found.get(check, [])) < 2
    assert blind == {}


@pytest.mark.parametrize("name", FAULTS)
def test_no_key_is_in_a_recording(name: str) -> None:
    content = gzip.decompress((RECORDINGS / f"{name}.json.gz").read_bytes())
    assert b"PRIVATE KEY" not in content
    assert b"LS0tLS1CRUdJTiBFQyBQUklWQVRF" not in content  # base64 of it
    assert b"LS0tLS1CRUdJTiBQUklWQVRF" not in content
