"""What is found when certificates, keys or kubeconfigs are wrong: with real components that fail of it.

One cluster serves all tests; each puts back what it has spoilt. That the fault is real is told by the component's log.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.certificates import Issued, authority
from support.clusters import commands, eventually, kubectl
from support.command import Kubedoctor
from support.faults import Seen, examined
from support.guarded import place_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKS = "certs"
KCM, SERVER = "kube-controller-manager", "kube-apiserver"
HOUR = 1 / 24


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path_factory.mktemp("cluster"), binaries) as command:
        command.ok("up", "--no-node")
        yield command


@pytest.fixture
def cli(cluster: Kubedoctor) -> Iterator[Kubedoctor]:
    """The cluster, whole before and after."""
    directory = directory_of(cluster)
    saved = directory.with_name("saved")
    shutil.copytree(directory / "pki", saved / "pki")
    shutil.copytree(directory / "kubeconfig", saved / "kubeconfig")
    try:
        yield cluster
    finally:
        restore(saved, directory)
        shutil.rmtree(saved)
    for component in ("etcd", SERVER, KCM, "kube-scheduler"):
        if state_of(cluster, component) != "ready":
            cluster.ok("restart", component)
    assert examined(cluster, CHECKS).findings() == []


def directory_of(cli: Kubedoctor) -> Path:
    return cli.home / "clusters" / "local"


def restore(saved: Path, directory: Path) -> None:
    for name in ("pki", "kubeconfig"):
        for file in (saved / name).iterdir():
            shutil.copy2(file, directory / name / file.name)


def state_of(cli: Kubedoctor, component: str) -> str:
    found = {one["name"]: one["state"] for one in cli("status", "-o", "json").json["components"]}
    return str(found[component])


def pki(cli: Kubedoctor) -> Path:
    return directory_of(cli) / "pki"


def replace(cli: Kubedoctor, file: str, by: str, name: str, *sans: str, **wishes: Any) -> None:
    """Put a certificate that authority *by* signed in the place of *file*."""
    signer = Issued.read(pki(cli), by)
    signer.issue(name, *sans, now=datetime.now(UTC), **wishes).write(pki(cli), file)


@contextlib.contextmanager
def restarted(cli: Kubedoctor, component: str, *options: str, until: str) -> Iterator[None]:
    """Restart a component that is going to fail, and go on when its log says *until*."""
    log = place_of(cli).logs / f"{component}.log"
    before = log.stat().st_size
    with cli.popen("restart", component, *options) as process:
        try:
            assert eventually(lambda: until.encode() in log.read_bytes()[before:], 60), log.read_text()[-2000:]
            yield
        finally:
            process.terminate()


def only(seen: Seen, check: str) -> Mapping[str, Any]:
    """Return the one finding there is."""
    (finding,) = seen.findings()
    assert [finding] == seen.findings(check)
    return finding


def test_nothing_is_found_on_a_healthy_cluster(cli: Kubedoctor) -> None:
    seen = examined(cli, CHECKS, fixture="healthy-certs")
    assert seen.findings() == []
    assert seen.blind() == {}
    for check in ("expired", "expires-soon", "not-yet-valid", "wrong-issuer", "key-mismatch", "san-missing"):
        assert seen.outcome(f"certs.{check}", "local") == "passed"


def test_looking_leaves_no_line_in_the_logs_of_the_servers(cli: Kubedoctor) -> None:
    logs = [place_of(cli).logs / f"{name}.log" for name in (SERVER, "etcd")]
    before = [log.stat().st_size for log in logs]
    examined(cli, CHECKS)
    said = b"".join(log.read_bytes()[size:] for log, size in zip(logs, before, strict=True))
    assert b"TLS handshake" not in said
    assert b"rejected connection" not in said


def test_an_expired_client_certificate_of_the_controller_manager(cli: Kubedoctor) -> None:
    replace(cli, "client-controller", "client-ca", "system:kube-controller-manager", days=-3 * HOUR)
    with restarted(cli, KCM, until="Unauthorized"):
        seen = examined(cli, CHECKS, fixture="certs.expired")
    finding = only(seen, "certs.expired")
    assert finding["message"] == (f"{KCM}'s client certificate expired 3 h ago, so {KCM} is nobody to the API server")
    assert finding["fixes"][0]["steps"][0]["argv"] == ["kubedoctor", "certs", "renew", "client-controller"]


def test_the_fix_for_an_expired_certificate_is_one(cli: Kubedoctor) -> None:
    replace(cli, "client-controller", "client-ca", "system:kube-controller-manager", days=-3 * HOUR)
    with restarted(cli, KCM, until="Unauthorized"):
        (finding,) = examined(cli, CHECKS).findings()
    for step in finding["fixes"][0]["steps"]:
        cli.ok(*(step["argv"][1:] if step["kind"] == "run" else ["restart", step["component"]]))
    assert examined(cli, CHECKS).findings() == []


def test_a_serving_certificate_of_tomorrow(cli: Kubedoctor) -> None:
    names = Issued.read(pki(cli), f"serving-{SERVER}").names
    replace(cli, f"serving-{SERVER}", "server-ca", "kubernetes.default", *names, begins=1)
    with restarted(cli, KCM, until="certificate has expired or is not yet valid"):
        seen = examined(cli, CHECKS, fixture="certs.not-yet-valid")
    finding = only(seen, "certs.not-yet-valid")
    assert str(finding["message"]).startswith(f"{SERVER}'s serving certificate becomes valid in 2")
    assert "nobody can use the API: the clock here is behind" in str(finding["message"])


def test_a_serving_certificate_without_the_address_that_clients_use(cli: Kubedoctor) -> None:
    replace(cli, f"serving-{SERVER}", "server-ca", "kubernetes.default", "kubernetes.default.svc", "10.0.0.1")
    with restarted(cli, KCM, until="x509: certificate is valid for 10.0.0.1, not 127.0.0.1"):
        seen = examined(cli, CHECKS, fixture="certs.san-missing")
    finding = only(seen, "certs.san-missing")
    assert str(finding["message"]).startswith(f"{SERVER}'s serving certificate is not for 127.0.0.1, by which it is")
    assert finding["severity"] == "error"


def test_the_key_of_another_certificate(cli: Kubedoctor) -> None:
    shutil.copy(pki(cli) / "serving-etcd.key", pki(cli) / f"serving-{SERVER}.key")
    with restarted(cli, SERVER, until="tls: private key does not match public key"):
        seen = examined(cli, CHECKS, fixture="certs.key-mismatch")
    message = only(seen, "certs.key-mismatch")["message"]
    assert message == (
        f"{pki(cli)}/serving-{SERVER}.key (--tls-private-key-file) is not the key of {SERVER}'s serving certificate "
        f"{pki(cli)}/serving-{SERVER}.crt"
    )


def test_a_signing_key_that_is_not_that_of_the_signing_certificate(cli: Kubedoctor) -> None:
    key = pki(cli) / "service-account.key"
    with restarted(cli, KCM, "--set", f"cluster-signing-key-file={key}", until="private key does not match public key"):
        seen = examined(cli, CHECKS)
    finding = only(seen, "certs.key-mismatch")
    assert finding["message"] == (
        f"{key} (--cluster-signing-key-file) is not the key of {KCM}'s signing certificate {pki(cli)}/client-ca.crt"
    )
    cli.ok("restart", KCM, "--set", f"cluster-signing-key-file={pki(cli)}/client-ca.key")


def test_the_authority_of_somebody_else_for_etcd(cli: Kubedoctor) -> None:
    option = f"etcd-cafile={pki(cli)}/server-ca.crt"
    with restarted(cli, SERVER, "--set", option, until="x509: certificate signed by unknown authority"):
        seen = examined(cli, CHECKS, fixture="certs.wrong-issuer")
    finding = only(seen, "certs.wrong-issuer")
    assert finding["subject"] == f"{SERVER} --etcd-cafile"
    assert str(finding["message"]).startswith(f"{SERVER} does not trust etcd's serving certificate: it is signed by")
    assert finding["fixes"][0]["summary"].endswith(f"--etcd-cafile={pki(cli)}/etcd-ca.crt")
    cli.ok("restart", SERVER, "--set", f"etcd-cafile={pki(cli)}/etcd-ca.crt")


def test_an_etcd_certificate_for_another_name(cli: Kubedoctor) -> None:
    replace(cli, "serving-etcd", "etcd-ca", "etcd", "etcd-0.example")
    with restarted(cli, SERVER, until="doesn't contain any IP SANs"):
        seen = examined(cli, CHECKS)
    finding = only(seen, "certs.san-missing")
    assert finding["message"] == (f"etcd's serving certificate is not for 127.0.0.1, by which it is dialled ({SERVER})")


def test_a_certificate_that_ends_soon_is_a_warning(cli: Kubedoctor) -> None:
    replace(cli, "client-scheduler", "client-ca", "system:kube-scheduler", begins=-340, days=25)
    seen = examined(cli, CHECKS, fixture="certs.expires-soon")
    assert only(seen, "certs.expires-soon")["message"] == "kube-scheduler's client certificate expires in 24 d"


def admins(cli: Kubedoctor) -> tuple[Path, dict[str, Any]]:
    path = directory_of(cli) / "kubeconfig" / "admin"
    return path, yaml.safe_load(path.read_text())


def test_a_kubeconfig_with_the_authority_of_an_earlier_cluster(cli: Kubedoctor) -> None:
    path, content = admins(cli)
    name = Issued.read(pki(cli), "server-ca").certificate.subject.rfc4514_string().removeprefix("CN=")
    content["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(authority(name).pem).decode()
    path.write_text(json.dumps(content))
    assert "certificate signed by unknown authority" in kubectl(cli, "get", "namespaces").err
    seen = examined(cli, CHECKS, fixture="certs.wrong-issuer.kubeconfig")
    finding = only(seen, "certs.wrong-issuer")
    assert finding["subject"] == f"{path} (certificate-authority-data)"
    assert "two authorities of one name" in str(finding["message"])


def test_a_kubeconfig_whose_user_does_not_exist(cli: Kubedoctor) -> None:
    path, content = admins(cli)
    content["contexts"][0]["context"]["user"] = "root"
    path.write_text(json.dumps(content))
    assert "Please enter Username" in kubectl(cli, "get", "namespaces").out
    seen = examined(cli, CHECKS, fixture="certs.kubeconfig-broken")
    assert "refers to user `root`, which does not exist" in only(seen, "certs.kubeconfig-broken")["message"]


def test_a_kubeconfig_that_says_http(cli: Kubedoctor) -> None:
    path, content = admins(cli)
    cluster = content["clusters"][0]["cluster"]
    cluster["server"] = cluster["server"].replace("https://", "http://")
    path.write_text(json.dumps(content))
    assert "the server rejected our request for an unknown reason" in kubectl(cli, "get", "namespaces").err
    seen = examined(cli, CHECKS)
    assert "says http where the API server speaks https only" in only(seen, "certs.kubeconfig-broken")["message"]


def test_a_kubeconfig_that_is_not_there(cli: Kubedoctor) -> None:
    path = directory_of(cli) / "kubeconfig" / "controller"
    path.unlink()
    with restarted(cli, KCM, until=f"stat {path}: no such file or directory"):
        seen = examined(cli, CHECKS)
    finding = only(seen, "certs.kubeconfig-broken")
    assert finding["message"] == f"the kubeconfig of {KCM} (--kubeconfig) does not exist: {path}"
