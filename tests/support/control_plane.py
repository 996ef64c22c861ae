"""The files of a control plane and a kubelet, and the command lines that name them: well until a test spoils them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from support.certificates import NOW, Issued, authority

from kubedoctor import Check, Denied, FactError, Instance, Target, TargetKind
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import run_check

ADDRESS = "198.18.0.1"
SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
    "10.0.0.1",
    "127.0.0.1",
    ADDRESS,
)


def embedded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class ControlPlane:
    """Everything below *directory*. `flags` are those of the components, to be changed before a check is run."""

    directory: Path
    kind: TargetKind = TargetKind.OTHER
    ca: Issued = field(default_factory=lambda: authority("kubernetes-ca"))
    etcd_ca: Issued = field(default_factory=lambda: authority("etcd-ca"))
    front_ca: Issued = field(default_factory=lambda: authority("front-proxy-ca"))
    flags: dict[str, dict[str, str]] = field(default_factory=dict)
    extra: tuple[Instance, ...] = ()
    pid: int = 0

    def __post_init__(self) -> None:
        for name, one in (("ca", self.ca), ("etcd-ca", self.etcd_ca), ("front-proxy-ca", self.front_ca)):
            one.write(self.directory, name)
        self.issue("apiserver", "kube-apiserver", *SERVER_NAMES, usages=["server"])
        self.issue("kubelet", "system:node:a", "a", ADDRESS, usages=["server"])
        self.issue("apiserver-kubelet-client", "kube-apiserver", usages=["client"], organizations=["system:masters"])
        self.issue("etcd", "etcd", "localhost", "127.0.0.1", by=self.etcd_ca)
        self.issue("apiserver-etcd-client", "kube-apiserver", by=self.etcd_ca, usages=["client"])
        self.issue("front-proxy-client", "front-proxy-client", by=self.front_ca, usages=["client"])
        for user in ("controller-manager", "scheduler", "kubelet", "admin"):
            self.kubeconfig(user)
        self.write("kubelet.yaml", yaml.safe_dump(self.kubelet_configuration()))
        self.flags = self._flags()

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def issue(self, file: str, name: str, *sans: str, by: Issued | None = None, **wishes: Any) -> Issued:
        """Put another certificate and key in the place of FILE.crt and FILE.key."""
        issued = (by or self.ca).issue(name, *sans, **wishes)
        issued.write(self.directory, file)
        return issued

    def kubeconfig(
        self,
        user: str,
        *,
        certificate: Issued | None = None,
        ca: Issued | None = None,
        server: str = f"https://{ADDRESS}:6443",
        cluster: Mapping[str, Any] | None = None,
        credentials: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Write USER.conf, as kubeadm would unless told otherwise."""
        certificate = certificate or self.ca.issue(f"system:{user}", usages=["client"])
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "default",
            "contexts": [{"name": "default", "context": {"cluster": "kubernetes", "user": user}}],
            "clusters": [
                {
                    "name": "kubernetes",
                    "cluster": {"server": server, "certificate-authority-data": embedded((ca or self.ca).pem)}
                    if cluster is None
                    else cluster,
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": embedded(certificate.pem),
                        "client-key-data": embedded(certificate.key_pem),
                    }
                    if credentials is None
                    else credentials,
                }
            ],
            **changes,
        }
        return self.write(f"{user}.conf", json.dumps(document))

    def kubelet_configuration(self, **changes: Any) -> dict[str, Any]:
        return {
            "kind": "KubeletConfiguration",
            "authentication": {"x509": {"clientCAFile": self.path("ca.crt")}},
            "tlsCertFile": self.path("kubelet.crt"),
            "tlsPrivateKeyFile": self.path("kubelet.key"),
            "clusterDomain": "cluster.local",
            **changes,
        }

    def _flags(self) -> dict[str, dict[str, str]]:
        path = self.path
        kubeconfigs = {
            name: dict.fromkeys(("kubeconfig", "authentication-kubeconfig"), path(f"{name}.conf"))
            for name in ("controller-manager", "scheduler")
        }
        return {
            "etcd": {
                "cert-file": path("etcd.crt"),
                "key-file": path("etcd.key"),
                "client-cert-auth": "true",
                "trusted-ca-file": path("etcd-ca.crt"),
                "listen-client-urls": "https://127.0.0.1:2379",
            },
            "kube-apiserver": {
                "tls-cert-file": path("apiserver.crt"),
                "tls-private-key-file": path("apiserver.key"),
                "client-ca-file": path("ca.crt"),
                "etcd-servers": "https://127.0.0.1:2379",
                "etcd-cafile": path("etcd-ca.crt"),
                "etcd-certfile": path("apiserver-etcd-client.crt"),
                "etcd-keyfile": path("apiserver-etcd-client.key"),
                "kubelet-client-certificate": path("apiserver-kubelet-client.crt"),
                "kubelet-client-key": path("apiserver-kubelet-client.key"),
                "kubelet-certificate-authority": path("ca.crt"),
                "proxy-client-cert-file": path("front-proxy-client.crt"),
                "proxy-client-key-file": path("front-proxy-client.key"),
                "requestheader-client-ca-file": path("front-proxy-ca.crt"),
                "service-cluster-ip-range": "10.0.0.0/24",
                "advertise-address": ADDRESS,
            },
            "kube-controller-manager": {
                **kubeconfigs["controller-manager"],
                "root-ca-file": path("ca.crt"),
                "cluster-signing-cert-file": path("ca.crt"),
                "cluster-signing-key-file": path("ca.key"),
            },
            "kube-scheduler": kubeconfigs["scheduler"],
            "kubelet": {"config": path("kubelet.yaml"), "kubeconfig": path("kubelet.conf")},
        }

    @property
    def target(self) -> Target:
        instances = tuple(
            Instance(
                name=name,
                source="the test",
                pid=self.pid,
                argv=(name, *(f"--{flag}={value}" for flag, value in flags.items())),
                directory=str(self.directory),
            )
            for name, flags in self.flags.items()
        )
        return Target(
            id="test",
            kind=self.kind,
            title="a cluster of a test",
            instances=(*instances, *self.extra),
            kubeconfig=self.path("admin.conf"),
            directory=str(self.directory),
        )

    def run(self, check: Check, *, now: float = NOW.timestamp()) -> Result:
        """Return what the check comes to on the files as they are."""
        return looked_at(check, self.target, now)

    def run_without(self, check: Check, *names: str, error: FactError | None = None) -> Result:
        """Return what the check comes to when files whose names end so cannot be read."""
        look = SharedLook(now=NOW.timestamp())
        Judgement().judge(check, CheckContext(look, self.target))
        facts = {
            (answer.fact, *answer.arguments): self._answer(answer, names, error or Denied("needs root to read it"))
            for answer in look.answers().values()
            if answer.fact.recorded
        }
        return run_check(check, self.target, facts=facts, now=NOW.timestamp())

    def _answer(self, answer: Any, names: tuple[str, ...], error: FactError) -> Any:
        if any(isinstance(one, str) and one.endswith(names) for one in answer.arguments):
            return error
        return answer.error or answer.value


def messages(result: Result) -> list[str]:
    return [one.message for one in result.findings]


def looked_at(check: Check, target: Target, now: float) -> Result:
    """Return what the check comes to on a target of this machine at that time."""
    judgement = Judgement()
    judgement.judge(check, CheckContext(SharedLook(now=now), target))
    if judgement.defect is not None:
        raise judgement.defect
    return judgement.result(check, target)
