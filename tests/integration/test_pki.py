"""Real etcd and kube-apiserver start from the files we issue, and refuse what these do not vouch for."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import pytest
import yaml

from kubedoctor.cluster import kubeconfig_merge
from kubedoctor.cluster.kubeconfig import write_kubeconfig
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.pki import issue
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig, PlaceKind

pytestmark = pytest.mark.integration

LIMIT = 60.0
CFSSL = Path(__file__).parents[1] / "cluster" / "cfssl"
NAMES = ("localhost", "127.0.0.1", "::1")


def certificates(config: ClusterConfig) -> list[Certificate]:
    return [
        Certificate(
            name="serving-etcd",
            authority=Authority.ETCD,
            common_name="etcd",
            sans=NAMES,
            server=True,
            client=True,
        ),
        Certificate(name="client-etcd", authority=Authority.ETCD, common_name="kube-apiserver", client=True),
        Certificate(
            name="serving-kube-apiserver",
            authority=Authority.SERVER,
            common_name="kube-apiserver",
            sans=config.api_server_names(),
            server=True,
        ),
        Certificate(
            name="client-auth-proxy",
            authority=Authority.REQUEST_HEADER,
            common_name="system:auth-proxy",
            client=True,
        ),
        Certificate(
            name="client-scheduler",
            authority=Authority.CLIENT,
            common_name="system:kube-scheduler",
            client=True,
        ),
    ]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, stdout=stream, stderr=stream, env={"PATH": "/usr/bin:/bin"})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def get(config: ClusterConfig, port: int, path: str, *, ca: str, client: str = "", host: str = "localhost") -> str:
    """Return status and body of a GET; raise OSError when TLS or the connection fails."""
    context = ssl.create_default_context(cafile=config.pki(f"{ca}.crt"))
    if client:
        context.load_cert_chain(config.pki(f"{client}.crt"), config.pki(f"{client}.key"))
    connection = HTTPSConnection(host, port, context=context, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode()}"


def wait_for(process: subprocess.Popen[bytes], log: Path, config: ClusterConfig, port: int, **request: str) -> None:
    """Return when the server answers 200; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + LIMIT
    seen = ""
    while process.poll() is None and time.monotonic() < deadline:
        try:
            seen = get(config, port, **request)
            if seen.startswith("200"):
                return
        except (OSError, HTTPException) as problem:
            seen = str(problem)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # its end is what can be waited for; that it listens is only seen by asking
    pytest.fail(f"not ready: {seen}\n{log.read_text()[-3000:]}")


@dataclass(frozen=True)
class ControlPlane:
    config: ClusterConfig
    etcd_port: int
    api_port: int
    kubectl: Path
    kubeconfig: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)


@contextlib.contextmanager
def control_plane(config: ClusterConfig, binaries: Mapping[str, Path], directory: Path) -> Iterator[ControlPlane]:
    etcd_port, peer_port, api_port = free_ports(3)
    pki = config.pki
    etcd = [
        str(binaries["etcd"]),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls=https://127.0.0.1:{etcd_port}",
        f"--advertise-client-urls=https://127.0.0.1:{etcd_port}",
        f"--listen-peer-urls=https://127.0.0.1:{peer_port}",
        f"--initial-advertise-peer-urls=https://127.0.0.1:{peer_port}",
        f"--initial-cluster=default=https://127.0.0.1:{peer_port}",
        f"--cert-file={pki('serving-etcd.crt')}",
        f"--key-file={pki('serving-etcd.key')}",
        "--client-cert-auth=true",
        f"--trusted-ca-file={pki('etcd-ca.crt')}",
        f"--peer-cert-file={pki('serving-etcd.crt')}",
        f"--peer-key-file={pki('serving-etcd.key')}",
        "--peer-client-cert-auth=true",
        f"--peer-trusted-ca-file={pki('etcd-ca.crt')}",
        "--heartbeat-interval=10",
        "--election-timeout=100",
        "--unsafe-no-fsync",
    ]
    apiserver = [
        str(binaries["kube-apiserver"]),
        f"--etcd-servers=https://127.0.0.1:{etcd_port}",
        f"--etcd-cafile={pki('etcd-ca.crt')}",
        f"--etcd-certfile={pki('client-etcd.crt')}",
        f"--etcd-keyfile={pki('client-etcd.key')}",
        "--bind-address=127.0.0.1",
        f"--secure-port={api_port}",
        "--endpoint-reconciler-type=none",  # nothing but loopback here, which it would refuse to advertise
        f"--tls-cert-file={pki('serving-kube-apiserver.crt')}",
        f"--tls-private-key-file={pki('serving-kube-apiserver.key')}",
        f"--client-ca-file={pki('client-ca.crt')}",
        f"--requestheader-client-ca-file={pki('request-header-ca.crt')}",
        "--requestheader-allowed-names=system:auth-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        f"--proxy-client-cert-file={pki('client-auth-proxy.crt')}",
        f"--proxy-client-key-file={pki('client-auth-proxy.key')}",
        f"--service-account-key-file={pki('service-account.pub')}",
        f"--service-account-signing-key-file={pki('service-account.key')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=Node,RBAC",
    ]
    etcd_log, api_log = directory / "etcd.log", directory / "kube-apiserver.log"
    with running(etcd, etcd_log) as process:
        wait_for(process, etcd_log, config, etcd_port, path="/health", ca="etcd-ca", client="client-etcd")
        with running(apiserver, api_log) as process:
            wait_for(process, api_log, config, api_port, path="/readyz", ca="server-ca", client="client-admin")
            kubeconfig = directory / "admin"
            write_kubeconfig(
                kubeconfig,
                server=f"https://127.0.0.1:{api_port}",
                ca_file=pki("server-ca.crt"),
                cert_file=pki("client-admin.crt"),
                key_file=pki("client-admin.key"),
                cluster=config.name,
                user="admin",
                embed=True,
            )
            yield ControlPlane(config, etcd_port, api_port, binaries["kubectl"], kubeconfig)


@pytest.fixture(scope="module", params=["ecdsa", "rsa", "own"])
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, binaries: Mapping[str, Path]
) -> Iterator[ControlPlane]:
    tmp_path = tmp_path_factory.mktemp(str(request.param))
    config = ClusterConfig(directory=tmp_path, place_kind=PlaceKind.HOST)
    if request.param == "rsa":
        config = replace(config, key_type="rsa")
    if request.param == "own":  # an RSA root, and an intermediate of an EC root, as cfssl made them
        rsa, chain = f"{CFSSL}/rsa.pem,{CFSSL}/rsa-key.pem", f"{CFSSL}/chain.pem,{CFSSL}/intermediate-key.pem"
        config = replace(config, authority={"server": chain, "client": rsa, "etcd": chain, "request-header": rsa})
    issue(config, certificates(config))
    with control_plane(config, binaries, tmp_path) as plane:
        yield plane


def test_the_administrator_may_everything_and_others_only_theirs(plane: ControlPlane) -> None:
    assert plane.run("get", "--raw", "/readyz").stdout == "ok"
    assert plane.run("auth", "can-i", "*", "*").stdout == "yes\n"
    listed = get(plane.config, plane.api_port, "/api/v1/secrets", ca="server-ca", client="client-scheduler")
    assert listed.startswith("403")
    assert 'User \\"system:kube-scheduler\\"' in listed
    assert get(plane.config, plane.api_port, "/api/v1/pods", ca="server-ca").startswith("403"), "anonymous"


def test_certificates_of_other_authorities_are_refused(plane: ControlPlane) -> None:
    assert get(plane.config, plane.api_port, "/api/v1/pods", ca="server-ca", client="client-etcd").startswith("401")
    with pytest.raises(OSError, match=r"certificate|reset|EOF"):
        get(plane.config, plane.etcd_port, "/health", ca="etcd-ca")
    with pytest.raises(OSError, match=r"certificate|unknown ca|reset|EOF"):
        get(plane.config, plane.etcd_port, "/health", ca="etcd-ca", client="client-admin")


def test_tokens_are_signed_and_checked_with_the_service_account_key(plane: ControlPlane) -> None:
    assert plane.run("create", "serviceaccount", "tester").returncode == 0
    token = plane.run("create", "token", "tester").stdout.strip()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    file = plane.kubeconfig.with_name("review.json")
    file.write_text(json.dumps(review))
    answer = json.loads(plane.run("create", "-f", str(file), "-o", "json").stdout)
    assert answer["status"]["authenticated"] is True
    assert answer["status"]["user"]["username"] == "system:serviceaccount:default:tester"


def test_every_name_of_the_api_server_is_in_its_certificate(plane: ControlPlane) -> None:
    context = ssl.create_default_context(cafile=plane.config.pki("server-ca.crt"))
    for name in plane.config.api_server_names():
        with (
            socket.create_connection(("127.0.0.1", plane.api_port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=name),
        ):
            pass  # the handshake checks the name


def test_kubectl_may_rewrite_the_file_we_merged_into(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "kubedoctor"))
    cluster = ClusterPaths.of("local")
    cluster.directory.mkdir(parents=True)
    own = tmp_path / "config"
    merged = replace(plane, kubeconfig=own)
    assert merged.run("config", "set-context", "mine", "--cluster=work", "--user=me").returncode == 0
    assert merged.run("config", "set-cluster", "work", "--server=https://work.test").returncode == 0
    assert merged.run("config", "set-credentials", "me", "--username=me").returncode == 0
    assert merged.run("config", "use-context", "mine").returncode == 0
    before = yaml.safe_load(own.read_text())

    kubeconfig_merge.merge(cluster, kubeconfig=plane.kubeconfig, environment={"KUBECONFIG": str(own)})
    assert merged.run("get", "--raw", "/readyz").stdout == "ok", "ours is the current context"
    assert merged.run("config", "set-context", "--current", "--namespace=kube-system").returncode == 0
    kubeconfig_merge.unmerge(cluster)
    assert yaml.safe_load(own.read_text()) == before
