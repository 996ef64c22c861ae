"""Variables of local-up-cluster.sh that a running cluster shows: each test asks the cluster itself."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from support.clusters import commands, free_port, got, kubectl, pod
from support.command import Kubedoctor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

COLLECTOR = 4317  # where ENABLE_TRACING has traces sent
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [{"level": "Metadata", "resources": [{"group": "", "resources": ["configmaps"]}]}],
}


@dataclass(frozen=True)
class Running:
    """A cluster under many variables."""

    cli: Kubedoctor
    etcd_port: int
    api_port: int
    traces: list[bytes] | None  # None: somebody else collects traces on this machine
    came: threading.Event

    @property
    def directory(self) -> Path:
        return self.cli.home / "clusters" / "local"

    def pki(self, name: str) -> str:
        return str(self.directory / "pki" / name)

    def log(self, component: str) -> str:
        return (self.directory / "places" / "node-1" / "logs" / f"{component}.log").read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, binaries: dict[str, Path]) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("variables")
    policy = directory / "policy.json"
    policy.write_text(json.dumps(POLICY))
    etcd_port, api_port, came = free_port(), free_port(), threading.Event()
    with contextlib.ExitStack() as stack:
        traces = stack.enter_context(collector(came))
        environment = {
            "API_SECURE_PORT": str(api_port),
            "API_HOST": "api.seed.test",
            "ETCD_HOST": "127.0.0.2",
            "ETCD_PORT": str(etcd_port),
            "SERVICE_CLUSTER_IP_RANGE": "10.96.0.0/24",
            "FIRST_SERVICE_CLUSTER_IP": "10.96.0.1",
            "CLUSTER_CIDR": "10.244.0.0/16",
            "NODE_PORT_RANGE": "31000-31009",
            "DNS_DOMAIN": "seed.test",
            "AUTHORIZATION_MODE": "RBAC",
            "ENABLE_ADMISSION_PLUGINS": "AlwaysPullImages",
            "DISABLE_ADMISSION_PLUGINS": "DefaultTolerationSeconds",
            "RUNTIME_CONFIG": "storage.k8s.io/v1beta1=true,autoscaling/v1=false",
            "FEATURE_GATES": "CBORServingAndStorage=true",
            "LOG_LEVEL": "3",
            "LOG_SPEC": "garbagecollector=5",
            "AUDIT_POLICY_FILE": str(policy),
            "ALLOW_PRIVILEGED": "false",
            "KUBE_CONTROLLERS": "*,-cronjob-controller",
            "LEADER_ELECT": "true",
            "ENABLE_SINGLE_CA_SIGNER": "true",
            "REUSE_CERTS": "false",
            "STORAGE_MEDIA_TYPE": "application/json",
            "KUBE_CACHE_MUTATION_DETECTOR": "true",
            **({"ENABLE_TRACING": "true"} if traces is not None else {}),
        }
        cli = stack.enter_context(commands(directory, binaries, **environment))
        cli.ok("up")
        yield Running(cli, etcd_port, api_port, traces, came)


@contextlib.contextmanager
def collector(came: threading.Event) -> Iterator[list[bytes] | None]:
    """Yield the first bytes of each connection to the port of a trace collector; None when the port is taken."""
    try:
        listener = socket.create_server(("127.0.0.1", COLLECTOR))
    except OSError:
        yield None
        return
    first: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                with contextlib.suppress(OSError):
                    first.append(connection.recv(24))
                    came.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield first
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def flags(running: Running, component: str) -> dict[str, str]:
    """Return the flags a component really runs with."""
    status = running.cli.ok("status", "-o", "json").json
    pid = next(c["pid"] for c in status["components"] if c["name"] == component)
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:-1]
    return {name.removeprefix("--"): value for name, _, value in (word.partition("=") for word in words)}


def test_api_answers_at_its_port_under_its_names(running: Running) -> None:
    """API_SECURE_PORT, API_HOST, DNS_DOMAIN, FIRST_SERVICE_CLUSTER_IP."""
    context = ssl.create_default_context(cafile=running.pki("server-ca.crt"))
    for name in ("api.seed.test", "kubernetes.default.svc.seed.test", "10.96.0.1", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", running.api_port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=name),
        ):
            pass  # the handshake checks the name


def test_service_addresses_and_node_ports_are_those_asked_for(running: Running) -> None:
    """SERVICE_CLUSTER_IP_RANGE, FIRST_SERVICE_CLUSTER_IP, NODE_PORT_RANGE."""
    assert got(running.cli, "get", "service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    made = got(running.cli, "create", "service", "nodeport", "web", "--tcp=80")["spec"]
    assert made["clusterIP"].startswith("10.96.0.")
    assert 31000 <= made["ports"][0]["nodePort"] <= 31009


def test_etcd_is_reached_from_outside_with_a_certificate_only(running: Running) -> None:
    """ETCD_HOST, ETCD_PORT."""
    stranger = ssl.create_default_context(cafile=running.pki("etcd-ca.crt"))
    client = ssl.create_default_context(cafile=running.pki("etcd-ca.crt"))
    client.load_cert_chain(running.pki("client-etcd.crt"), running.pki("client-etcd.key"))

    def version(context: ssl.SSLContext) -> str:
        with contextlib.closing(HTTPSConnection("127.0.0.2", running.etcd_port, context=context, timeout=10)) as etcd:
            etcd.request("GET", "/version")
            return str(json.loads(etcd.getresponse().read())["etcdserver"])

    assert version(client).startswith("3.")
    with pytest.raises(OSError, match=r"certificate|reset|EOF"):
        version(stranger)


def test_admission_plugins_are_turned_on_and_off(running: Running) -> None:
    """ENABLE_ADMISSION_PLUGINS, DISABLE_ADMISSION_PLUGINS."""
    spec = got(running.cli, "create", "-f", "-", stdin=pod("admitted"))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    assert "tolerations" not in spec


def test_privileged_pods_are_refused(running: Running) -> None:
    """ALLOW_PRIVILEGED."""
    container = {"name": "c", "image": "registry.invalid/image", "securityContext": {"privileged": True}}
    refused = kubectl(running.cli, "create", "-f", "-", stdin=pod("privileged", containers=[container]))
    assert refused.status != 0
    assert "disallowed by cluster policy" in refused.err


def test_groups_and_gates_are_turned_on_and_off(running: Running) -> None:
    """RUNTIME_CONFIG, FEATURE_GATES."""
    versions = kubectl(running.cli, "api-versions").out.split()
    assert "autoscaling/v2" in versions
    assert "autoscaling/v1" not in versions
    metrics = kubectl(running.cli, "get", "--raw", "/metrics").out.splitlines()
    assert any('name="CBORServingAndStorage"' in line and line.endswith(" 1") for line in metrics)


def test_audit_log_tells_what_the_policy_asks_for(running: Running) -> None:
    """AUDIT_POLICY_FILE."""
    assert kubectl(running.cli, "create", "configmap", "audited").status == 0
    lines = [json.loads(line) for line in running.log("kube-apiserver-audit").splitlines()]
    assert {line["objectRef"]["resource"] for line in lines} == {"configmaps"}
    assert any(line["verb"] == "create" and line["objectRef"].get("name") == "audited" for line in lines)


def test_components_trace_to_the_collector_outside(running: Running) -> None:
    """ENABLE_TRACING."""
    if running.traces is None:
        pytest.skip(f"port {COLLECTOR} is taken")
    assert running.came.wait(60)
    assert running.traces[0] == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not what a gRPC client says first"


def test_controllers_elect_a_leader_and_run_those_asked_for(running: Running) -> None:
    """LEADER_ELECT, KUBE_CONTROLLERS."""
    leases = {lease["metadata"]["name"] for lease in got(running.cli, "get", "lease", "-n", "kube-system")["items"]}
    assert {"kube-controller-manager", "kube-scheduler"} <= leases
    log = running.log("kube-controller-manager")
    assert "cronjob-controller" in flags(running, "kube-controller-manager")["controllers"]
    skipped = [line for line in log.splitlines() if "cronjob-controller" in line and "FLAG" not in line]
    assert skipped
    assert all("disabled" in line or "kipping" in line for line in skipped), skipped


def test_log_levels_are_those_asked_for(running: Running) -> None:
    """LOG_LEVEL, LOG_SPEC."""
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert flags(running, component)["v"] == "3"
        assert flags(running, component)["vmodule"] == "garbagecollector=5"
    assert "garbagecollector.go" in running.log("kube-controller-manager")


def test_objects_are_stored_as_asked_for(running: Running) -> None:
    """STORAGE_MEDIA_TYPE, AUTHORIZATION_MODE, CLUSTER_CIDR, KUBE_CACHE_MUTATION_DETECTOR."""
    assert flags(running, "kube-apiserver")["storage-media-type"] == "application/json"
    assert flags(running, "kube-apiserver")["authorization-mode"] == "RBAC"
    assert flags(running, "kube-controller-manager")["cluster-cidr"] == "10.244.0.0/16"
    assert "Mutation detector is enabled" in running.log("kube-controller-manager")


def test_certificates_are_of_one_authority_and_made_anew_each_time(running: Running) -> None:
    """ENABLE_SINGLE_CA_SIGNER, REUSE_CERTS; runs `up` again, so it comes last."""
    names = ("server-ca.crt", "client-ca.crt", "serving-kube-apiserver.crt", "service-account.pub")

    def read() -> dict[str, str]:
        return {name: Path(running.pki(name)).read_text() for name in names}

    before = read()
    assert before["server-ca.crt"] == before["client-ca.crt"]
    running.cli.ok("down")
    running.cli.ok("up")
    after = read()
    changed = {name for name in names if before[name] != after[name]}
    assert changed == {"server-ca.crt", "client-ca.crt", "serving-kube-apiserver.crt"}
    assert kubectl(running.cli, "get", "--raw", "/readyz").out == "ok"
