"""What is found when the certificates between a kubelet and the API server are wrong: on a real node."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.certificates import Issued, authority
from support.clusters import eventually, kubectl
from support.faults import examined
from support.guarded import place_of
from support.nodes import Node, a_node, changed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKS = "certs"
SERVER = "kube-apiserver"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path]) -> Iterator[Node]:
    with a_node(tmp_path_factory.mktemp("certs"), node_binaries) as found:
        yield found


@pytest.fixture
def node(shared: Node) -> Iterator[Node]:
    """The node, whole before and after."""
    kept = shutil.copytree(pki(shared), pki(shared).with_name("kept"))
    try:
        yield shared
    finally:
        shutil.copytree(kept, pki(shared), dirs_exist_ok=True)
        shutil.rmtree(kept)
    shared.cli.ok("restart", "kubelet")
    assert examined(shared.cli, CHECKS).findings() == []


def pki(node: Node) -> Path:
    return node.cli.home / "clusters" / "local" / "pki"


def user(node: Node) -> str:
    """Return who the kubelet is to the API server."""
    subject = Issued.read(pki(node), "client-kubelet").certificate.subject
    return subject.rfc4514_string().partition(",")[0].removeprefix("CN=")


def asked(node: Node) -> str:
    """Have the API server ask the kubelet something; return what kubectl says of it."""
    name = user(node).removeprefix("system:node:")
    done = kubectl(node.cli, "get", "--raw", f"/api/v1/nodes/{name}/proxy/pods")
    return f"{done.out}{done.err}"


def says(node: Node, component: str, text: str) -> bool:
    """Return whether the component's log comes to say it."""
    log = place_of(node.cli).logs / f"{component}.log"
    return eventually(lambda: text in log.read_text(errors="replace"), 60)


def test_nothing_is_found_on_a_healthy_node(node: Node) -> None:
    seen = examined(node.cli, CHECKS, fixture="healthy-certs-node")
    assert seen.findings() == []
    assert seen.blind() == {}


def test_an_expired_client_certificate_of_the_kubelet(node: Node) -> None:
    ca = Issued.read(pki(node), "client-ca")
    expired = ca.issue(user(node), organizations=["system:nodes"], now=datetime.now(UTC), days=-1, usages=["client"])
    expired.write(pki(node), "client-kubelet")
    with node.cli.popen("restart", "kubelet") as restart:
        assert says(node, SERVER, "certificate has expired or is not yet valid")
        seen = examined(node.cli, CHECKS, fixture="certs.expired.kubelet")
        restart.terminate()
    assert seen.message("certs.expired") == (
        "kubelet's client certificate expired 24 h ago, so kubelet is nobody to the API server"
    )
    assert len(seen.findings()) == 1


def test_a_kubelet_that_does_not_know_the_authority_of_the_api_server(node: Node) -> None:
    own = Issued.read(pki(node), "client-ca").certificate.subject.rfc4514_string().removeprefix("CN=")
    earlier = pki(node) / "earlier-ca.crt"
    earlier.write_bytes(authority(own).pem)
    try:
        with changed(node.kubelet, (f"{pki(node)}/client-ca.crt", str(earlier))):
            node.cli.ok("restart", "kubelet")
            assert "You must be logged in" in asked(node)
            assert says(node, "kubelet", "certificate signed by unknown authority")
            seen = examined(node.cli, CHECKS, fixture="certs.wrong-issuer.kubelet")
    finally:
        earlier.unlink()
    message = seen.message("certs.wrong-issuer")
    assert message.startswith(
        f"kubelet does not trust {SERVER}'s client certificate to kubelets: the key of `CN={own}`"
    )
    assert "two authorities of one name" in message
    assert len(seen.findings()) == 1


def test_a_kubelet_that_serves_a_certificate_of_its_own(node: Node) -> None:
    node.cli.ok("restart", SERVER, "--set", f"kubelet-certificate-authority={pki(node)}/server-ca.crt")
    alone = authority("local@1", days=300, now=datetime.now(UTC))
    alone.write(pki(node), "serving-kubelet")
    node.cli.ok("restart", "kubelet")
    assert "x509: " in asked(node)
    seen = examined(node.cli, CHECKS)
    message = seen.message("certs.wrong-issuer")
    assert message.startswith(f"{SERVER} does not trust kubelet's serving certificate: it is signed by itself")
    node.cli.ok("restart", SERVER, "--set", "kubelet-certificate-authority-")
