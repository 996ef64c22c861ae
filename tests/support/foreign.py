"""Clusters that others make, really running in a machine of the test's: kubeadm's, local-up-cluster.sh's, kwokctl's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from support.boxes import ADDRESS, Box
from support.certificates import Issued, authority, key_pem
from support.clusters import eventually
from support.control_plane import embedded
from support.layouts import LAYOUTS

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def _ready(box: Box, binaries: Mapping[str, Path], kubeconfig: str, *checks: str) -> None:
    """Wait until the API server is ready and the others are at work: each says so itself, or by its lease."""

    def is_ready() -> bool:
        kubectl = (binaries["kubectl"], f"--kubeconfig={kubeconfig}", "--request-timeout=5s")
        if box.run(*kubectl, "get", "--raw", "/readyz", check=False) != "ok":
            return False
        accounts = box.run(*kubectl, "get", "serviceaccounts", "default", "--output=name", check=False)
        if accounts.strip() != "serviceaccount/default":  # the controllers have come so far
            return False
        leases = box.run(*kubectl, "-n", "kube-system", "get", "leases", "--output=name", check=False)
        return all(f"/{lease}\n" in leases for lease in checks)

    assert eventually(is_ready, 90), "the control plane did not come up"


def _logs(box: Box, name: str) -> Path:
    directory = box.directory / "logs"
    directory.mkdir(exist_ok=True)
    return directory / f"{name}.log"


def _path(binaries: Mapping[str, Path], directory: Path) -> dict[str, str]:
    """Return the environment in which components are found by their names, as in their containers."""
    directory.mkdir(exist_ok=True)
    for name in CONTROL_PLANE:
        if not (directory / name).exists():
            (directory / name).symlink_to(binaries[name].resolve())
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


# --- kubeadm ----------------------------------------------------------------------------------------------------------

KUBEADM = f"""
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: {ADDRESS}}}
nodeRegistration: {{name: node-a, criSocket: "unix:///run/containerd/containerd.sock"}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
"""


def kubeadm(box: Box, program: Path, binaries: Mapping[str, Path]) -> None:
    """Have `kubeadm init` write its files, and run what its manifests say; wait until that works."""
    box.write("/etc/kubeadm.yaml", KUBEADM)
    for phase in ("certs all", "kubeconfig all", "etcd local", "control-plane all"):
        box.run(program.resolve(), "init", "phase", *phase.split(), "--config=/etc/kubeadm.yaml")
    environment = _path(binaries, box.directory / "in-containers")
    for name in CONTROL_PLANE:
        pod = yaml.safe_load(box.path(f"/etc/kubernetes/manifests/{name}.yaml").read_text())
        (container,) = pod["spec"]["containers"]
        box.start(*container["command"], env=environment, log=_logs(box, name))
    administrator = "/etc/kubernetes/super-admin.conf"
    kubectl = (binaries["kubectl"], f"--kubeconfig={administrator}")
    leases = ("kube-controller-manager", "kube-scheduler")
    _ready(box, binaries, administrator, *leases)
    # What the next phase of `kubeadm init` does with the API that runs now.
    group = "--group=kubeadm:cluster-admins"
    box.run(*kubectl, "create", "clusterrolebinding", group[8:], "--clusterrole=cluster-admin", group)


# --- local-up-cluster.sh ----------------------------------------------------------------------------------------------

_C = "/var/run/kubernetes"


def local_up(box: Box, binaries: Mapping[str, Path]) -> None:
    """Do what `hack/local-up-cluster.sh` does with START_MODE=nokubelet,nokubeproxy: its files, flags and defaults."""
    temporary = f"{box.directory}/local-up-cluster.sh.Ab3dE6"
    etcd_dir = f"{box.directory}/tmp.k2ffu0fQzZ"
    for directory in (temporary, etcd_dir, box.directory / "luc-logs"):
        Path(directory).mkdir(exist_ok=True)
    _certificates(box)
    key = f"{temporary}/kube-serviceaccount.key"
    Path(key).write_bytes(key_pem(_rsa_key()))
    _kubeconfigs(box)
    files = _generated(temporary)
    words = {name: _local_up_flags(name, temporary, key, files, etcd_dir, box) for name in CONTROL_PLANE}
    directory = box.directory / "_output" / "local" / "bin" / "linux" / "amd64"
    directory.mkdir(parents=True)
    _path(binaries, directory)
    for name in CONTROL_PLANE:
        if name == "kube-controller-manager":  # the script waits for /healthz only
            _ready_api(box, binaries, f"{_C}/admin.kubeconfig")
        program = "etcd" if name == "etcd" else str(directory / name)
        box.start(
            program,
            *words[name],
            env={"PATH": f"{directory}:{os.environ['PATH']}"},
            log=box.directory / "luc-logs" / f"{name}.log",
        )
    _ready(box, binaries, f"{_C}/admin.kubeconfig")


def _ready_api(box: Box, binaries: Mapping[str, Path], kubeconfig: str) -> None:
    kubectl = (binaries["kubectl"], f"--kubeconfig={kubeconfig}", "--request-timeout=2s")
    assert eventually(lambda: box.run(*kubectl, "get", "--raw", "/healthz", check=False) == "ok", 60)


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _certificates(box: Box) -> None:
    """Make what openssl and cfssl make for the script: three authorities of one name for a year, leaves for five."""
    now = datetime.now(UTC)
    authorities: dict[str, Issued] = {}

    def new(file: str, issued: Issued) -> Issued:
        box.write(f"{_C}/{file}.crt", issued.pem, 0o644)
        box.write(f"{_C}/{file}.key", issued.key_pem)
        return issued

    for name in ("server-ca", "client-ca", "request-header-ca"):
        authorities[name] = new(name, authority("ca", days=365, now=now, begins=0, organizations=["x"], key=_rsa_key()))

    def leaf(file: str, by: str, name: str, *sans: str, organizations: tuple[str, ...] = ()) -> None:
        usages = ("server",) if by == "server-ca" else ("client",)
        issued = authorities[by].issue(
            name,
            *sans,
            days=1825,
            begins=-5 / 1440,
            now=now,
            usages=usages,
            organizations=organizations,
            key=_rsa_key(),
        )
        new(file, issued)

    names = ("kubernetes.default.svc", "localhost", "127.0.0.1", "10.0.0.1")
    leaf("serving-kube-apiserver", "server-ca", "kubernetes.default", *names)
    leaf("serving-kube-aggregator", "server-ca", "api.kube-public.svc", "localhost", "127.0.0.1")
    leaf("client-admin", "client-ca", "system:admin", organizations=("system:masters",))
    leaf("client-controller", "client-ca", "system:kube-controller-manager")
    leaf("client-scheduler", "client-ca", "system:kube-scheduler")
    leaf("client-kube-apiserver", "client-ca", "kube-apiserver")
    leaf("client-kube-aggregator", "client-ca", "system:kube-aggregator", organizations=("system:masters",))
    leaf("client-auth-proxy", "request-header-ca", "system:auth-proxy")


def _kubeconfigs(box: Box) -> None:
    for user in ("admin", "controller", "scheduler", "kube-aggregator"):
        certificate, key = (box.path(f"{_C}/client-{user}.{kind}").read_bytes() for kind in ("crt", "key"))
        ca = box.path(f"{_C}/server-ca.crt").read_bytes()
        box.write(f"{_C}/{user}.kubeconfig", _kubeconfig("https://localhost:6443", ca, certificate, key), 0o644)


def _kubeconfig(server: str, ca: bytes, certificate: bytes, key: bytes) -> str:
    name = "local-up-cluster"
    user = {"client-certificate-data": embedded(certificate), "client-key-data": embedded(key)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": embedded(ca)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": user}],
    }
    return yaml.safe_dump(document)


def _generated(temporary: str) -> dict[str, str]:
    documents: dict[str, Any] = {
        "kube-audit-policy-file": {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "rules": [{"level": "Metadata"}],
        },
        "kube_egress_selector_configuration.yaml": {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [
                {"name": name, "connection": {"proxyProtocol": "Direct"}}
                for name in ("cluster", "controlplane", "etcd")
            ],
        },
        "kube-scheduler.yaml": {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": f"{_C}/scheduler.kubeconfig"},
            "leaderElection": {"leaderElect": False},
        },
    }
    for name, document in documents.items():
        Path(temporary, name).write_text(yaml.safe_dump(document))
    return {name: f"{temporary}/{name}" for name in documents}


_ADMISSION = (
    "NamespaceLifecycle,LimitRanger,ServiceAccount,DefaultStorageClass,DefaultTolerationSeconds,Priority,"
    "MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ResourceQuota,NodeRestriction"
)


def _local_up_flags(
    name: str, temporary: str, key: str, files: Mapping[str, str], etcd_dir: str, box: Box
) -> list[str]:
    """Return the words behind the program, as version 1.37.2 of the script passes them."""
    gates = ["--feature-gates=AllAlpha=false", "--emulated-version="]
    match name:
        case "etcd":
            url = "http://127.0.0.1:2379"
            return [
                "--advertise-client-urls", url, "--data-dir", etcd_dir, "--listen-client-urls", url,
                "--listen-peer-urls", "http://localhost:0", "--log-level=warn",
            ]  # fmt: skip
        case "kube-apiserver":
            return [
                "--authorization-mode=Node,RBAC", "--authorization-webhook-config-file=",
                "--authentication-token-webhook-config-file=", "", "", "", "--v=3", "--vmodule=",
                f"--audit-policy-file={files['kube-audit-policy-file']}",
                f"--audit-log-path={box.directory}/luc-logs/kube-apiserver-audit.log",
                f"--cert-dir={_C}", "--bind-address=0.0.0.0", "--secure-port=6443",
                f"--tls-cert-file={_C}/serving-kube-apiserver.crt",
                f"--tls-private-key-file={_C}/serving-kube-apiserver.key", "--external-hostname=localhost",
                "--cors-allowed-origins=//127.0.0.1(:[0-9]+)?$,//localhost(:[0-9]+)?$",
                f"--client-ca-file={_C}/client-ca.crt",
                f"--kubelet-client-certificate={_C}/client-kube-apiserver.crt",
                f"--kubelet-certificate-authority={_C}/client-ca.crt",
                f"--kubelet-client-key={_C}/client-kube-apiserver.key", "--kubelet-port=10250",
                "--kubelet-read-only-port=0", f"--service-account-key-file={key}", "--service-account-lookup=true",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks",
                f"--service-account-signing-key-file={key}", "--disable-admission-plugins=",
                "--admission-control-config-file=", f"--enable-admission-plugins={_ADMISSION}",
                "--storage-backend=etcd3", "--storage-media-type=application/vnd.kubernetes.protobuf",
                "--etcd-servers=http://127.0.0.1:2379", "--service-cluster-ip-range=10.0.0.0/24",
                f"--egress-selector-config-file={files['kube_egress_selector_configuration.yaml']}",
                "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                f"--requestheader-client-ca-file={_C}/request-header-ca.crt",
                "--requestheader-allowed-names=system:auth-proxy",
                f"--proxy-client-cert-file={_C}/client-auth-proxy.crt",
                f"--proxy-client-key-file={_C}/client-auth-proxy.key", *gates,
            ]  # fmt: skip
        case "kube-controller-manager":
            controller = f"{_C}/controller.kubeconfig"
            return [
                "--v=3", "--vmodule=", f"--service-account-private-key-file={key}",
                "--service-cluster-ip-range=10.0.0.0/24", f"--root-ca-file={_C}/server-ca.crt",
                f"--cluster-signing-cert-file={_C}/client-ca.crt", f"--cluster-signing-key-file={_C}/client-ca.key",
                "--enable-hostpath-provisioner=false", "--pvclaimbinder-sync-period=15s", *gates,
                "--cloud-provider=", "--cloud-config=", "--configure-cloud-routes=true",
                f"--authentication-kubeconfig={controller}", f"--authorization-kubeconfig={controller}",
                f"--kubeconfig={controller}", "--use-service-account-credentials", "--controllers=*",
                "--leader-elect=false", f"--cert-dir={_C}", "--secure-port=10257", "--bind-address=0.0.0.0",
                "--master=https://localhost:6443",
            ]  # fmt: skip
    scheduler = f"{_C}/scheduler.kubeconfig"
    return [
        "--v=3", f"--config={files['kube-scheduler.yaml']}", *gates,
        f"--authentication-kubeconfig={scheduler}", f"--authorization-kubeconfig={scheduler}",
        "--secure-port=10259", "--bind-address=0.0.0.0", "--master=https://localhost:6443",
    ]  # fmt: skip


# --- kwokctl ----------------------------------------------------------------------------------------------------------


def kwokctl(box: Box, binaries: Mapping[str, Path]) -> Path:
    """Start what `kwokctl create cluster --runtime=binary` starts, its files as it writes them; return its directory.

    Its own controller, which makes up nodes, is left out: it is no component of Kubernetes.
    """
    recorded = "/home/dev/.kwok/clusters/kwok"
    where = box.directory / "person" / ".kwok" / "clusters" / "kwok"
    for name in ("bin", "etcd", "logs", "pids", "pki"):
        (where / name).mkdir(parents=True)
    words = json.loads((LAYOUTS / "argv" / "kwokctl.json").read_text().replace(recorded, str(where)))
    text = Path(f"{LAYOUTS}/kwokctl{recorded}/kwok.yaml").read_text().replace(recorded, str(where))
    first, *others = text.split("\n---")
    config = yaml.safe_load(first)
    config["components"] = [one for one in config["components"] if one["name"] in CONTROL_PLANE]
    (where / "kwok.yaml").write_text("\n---".join([yaml.safe_dump(config), *others]))
    _kwok_certificates(where)
    _path(binaries, where / "bin")
    for name in CONTROL_PLANE:
        process = box.start(*words[name], log=where / "logs" / f"{name}.log")
        (where / "pids" / f"{name}.pid").write_text(str(process.pid))
        if name == "kube-apiserver":
            _ready_api(box, binaries, f"{where}/kubeconfig.yaml")
    _ready(box, binaries, str(where / "kubeconfig.yaml"), "kube-controller-manager", "kube-scheduler")
    return where


def _kwok_certificates(where: Path) -> None:
    """Make its one certificate for everything: a hundred years, the machine's own addresses, none of services."""
    now, years = datetime.now(UTC), 36500
    ca = authority("kwok-ca", days=years, now=now, key=_rsa_key())
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    administrator = ca.issue(
        "kwok-admin", *names, "localhost", "127.0.0.1", "::1", ADDRESS, now=now, days=years,
        organizations=["system:masters"], key=_rsa_key(),
    )  # fmt: skip
    ca.write(where / "pki", "ca")
    administrator.write(where / "pki", "admin")
    cluster = {"server": "https://127.0.0.1:32764", "certificate-authority": f"{where}/pki/ca.crt"}
    user = {"client-certificate": f"{where}/pki/admin.crt", "client-key": f"{where}/pki/admin.key"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kwok-kwok",
        "clusters": [{"name": "kwok-kwok", "cluster": cluster}],
        "contexts": [{"name": "kwok-kwok", "context": {"cluster": "kwok-kwok", "user": "kwok-kwok"}}],
        "users": [{"name": "kwok-kwok", "user": user}],
    }
    (where / "kubeconfig.yaml").write_text(yaml.safe_dump(document))
