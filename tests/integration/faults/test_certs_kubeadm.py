"""The checks of certificates on what a real kubeadm made: certificates, kubeconfigs and static pods."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from kubedoctor_certs.checks import CHECKS
from kubedoctor_certs.dates import expired
from kubedoctor_certs.issuers import wrong_issuer
from support.certificates import Issued, authority
from support.control_plane import looked_at, messages

from kubedoctor import Check, Instance, Target, TargetKind
from kubedoctor.checks import Outcome

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(400),  # the first time kubeadm is built
    pytest.mark.skipif(os.geteuid() != 0, reason="kubeadm is run in a root directory of its own"),
]

ADDRESS = "198.18.0.1"


@dataclass(frozen=True)
class Kubeadm:
    """What kubeadm made below *directory*, and a process that has it for its root directory."""

    directory: Path
    process: int

    @property
    def target(self) -> Target:
        """The static pods of its manifests, and a kubelet."""
        root = self.process
        instances = [
            Instance(
                name=manifest.stem,
                source=f"manifest /etc/kubernetes/manifests/{manifest.name}",
                argv=tuple(yaml.safe_load(manifest.read_text())["spec"]["containers"][0]["command"]),
                root=root,
            )
            for manifest in sorted((self.directory / "etc/kubernetes/manifests").iterdir())
        ]
        flags = ("--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml")
        bootstrap = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"
        instances.append(
            Instance(name="kubelet", source="the test", argv=("kubelet", bootstrap, *flags), root=root, directory="/")
        )
        return Target(id="kubeadm", kind=TargetKind.KUBEADM, title="kubeadm", instances=tuple(instances))

    def now(self) -> float:
        """The time at which its certificates are new."""
        certificate = x509.load_pem_x509_certificate(self.file("pki/apiserver.crt").read_bytes())
        return certificate.not_valid_before_utc.timestamp() + 600

    def file(self, name: str) -> Path:
        return self.directory / "etc/kubernetes" / name

    def found(self, check: Check) -> list[str]:
        return messages(looked_at(check, self.target, self.now()))


CONFIGURATION = f"""
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: {ADDRESS}}}
nodeRegistration: {{name: node-a, criSocket: "unix:///run/containerd/containerd.sock"}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, kubeadm: Path) -> Path:
    """A root directory in which `kubeadm init` has gone as far as the static pods."""
    root = tmp_path_factory.mktemp("root")
    (root / "var/lib/kubelet").mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "etc").mkdir()
    (root / "etc/kubeadm.yaml").write_text(CONFIGURATION)
    for phase in ("certs all", "kubeconfig all", "etcd local", "control-plane all"):
        command = [str(kubeadm), f"--rootfs={root}", "init", "phase", *phase.split(), "--config=/etc/kubeadm.yaml"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    kubelet = {
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
        "clusterDomain": "cluster.local",
    }
    (root / "var/lib/kubelet/config.yaml").write_text(yaml.safe_dump(kubelet))
    return root


@pytest.fixture
def node(made: Path, tmp_path: Path) -> Iterator[Kubeadm]:
    """The node, to be spoilt."""
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", made, root], check=True)
    program = f"import os, signal; os.chroot({str(root)!r}); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Kubeadm(root, process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_what_kubeadm_made_is_well(node: Kubeadm, check: Check) -> None:
    result = looked_at(check, node.target, node.now())
    assert (result.outcome, messages(result), result.reason) == (Outcome.PASSED, [], "")


def test_what_no_process_of_kubeadms_names_is_looked_at_too(node: Kubeadm) -> None:
    ca = Issued.read(node.file("pki/etcd"), "ca")
    ca.issue("kube-etcd-healthcheck-client", days=-1).write(node.file("pki/etcd"), "healthcheck-client")
    (finding,) = looked_at(expired, node.target, node.now()).findings
    assert finding.message.endswith("so the health of etcd cannot be asked for")
    assert finding.fixes[0].steps[0].argv == ("kubeadm", "certs", "renew", "etcd-healthcheck-client")


def test_a_second_init_beside_the_files_of_the_first_is_named(node: Kubeadm, made: Path) -> None:
    again = authority("kubernetes")
    again.write(node.file("pki"), "ca")
    found = looked_at(wrong_issuer, node.target, node.now()).findings
    assert found
    assert all("two authorities of one name" in one.message for one in found)
