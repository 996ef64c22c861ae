"""Authorities of the user's own under a whole cluster, and certificates renewed while it runs."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import commands, got, kubectl
from support.command import Kubedoctor

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl"),
]

CA = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as cli:
        yield cli


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def company_chain(directory: Path) -> str:
    """Make an RSA root that signs an intermediate; return CERT,KEY of the latter, its chain in one file."""
    root, intermediate = ("-keyout", "root.key"), ("-keyout", "int.key")
    openssl(
        directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *root, "-out", "root.crt", "-subj", "/CN=root", *CA
    )
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", *intermediate, "-out", "int.csr", "-subj", "/CN=company")
    (directory / "ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n")
    signing = ("-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "ext", "-out", "int.crt")
    openssl(directory, "x509", "-req", "-in", "int.csr", *signing)
    chain = directory / "chain.pem"
    chain.write_text((directory / "int.crt").read_text() + (directory / "root.crt").read_text())
    return f"{chain},{directory / 'int.key'}"


def elliptic(directory: Path, name: str, curve: str) -> str:
    """Make a root of an EC key in SEC 1 form; return its CERT,KEY."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    openssl(directory, "ecparam", "-name", curve, "-genkey", "-noout", "-out", str(key))
    openssl(directory, "req", "-x509", "-new", "-key", str(key), "-out", str(certificate), "-subj", f"/CN={name}", *CA)
    return f"{certificate},{key}"


def served(cli: Kubedoctor, trusted: Path, port: str = "") -> bytes:
    """Return the certificate the API serves to a client that trusts *trusted* alone; the handshake checks it."""
    context = ssl.create_default_context(cafile=str(trusted))
    address = ("127.0.0.1", int(port or cli.env["API_SECURE_PORT"]))
    with (
        socket.create_connection(address, timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""


def test_cluster_works_under_authorities_of_the_users_own(cli: Kubedoctor, tmp_path: Path) -> None:
    server, client = company_chain(tmp_path), elliptic(tmp_path, "people", "secp384r1")
    cli.ok("up", "--authority", f"server={server}", "--authority", f"client={client}")
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok"
    served(cli, tmp_path / "root.crt")  # whoever trusts the company's root needs nothing else
    listed = {one["name"]: one for one in cli.ok("certs", "list", "-o", "json").json["certificates"]}
    assert listed["serving-kube-apiserver"]["issuer"] == "CN=company"
    assert listed["client-admin"]["issuer"] == "CN=people"
    assert listed["server-ca"]["key"] == "RSA 2048"
    assert kubectl(cli, "create", "deployment", "web", "--image=registry.invalid/image").status == 0
    made = kubectl(cli, "wait", "--for=create", "replicaset", "--selector=app=web", "--timeout=30s")
    assert made.status == 0, f"the controllers do not get through: {made.err}"
    ca = got(cli, "get", "configmap", "kube-root-ca.crt")["data"]["ca.crt"]
    assert (tmp_path / "root.crt").read_text().strip() in ca, "pods would not trust the API"

    refused = cli("certs", "renew", "server-ca")
    assert refused.status == 1
    assert "only you can renew" in refused.err

    # Others while it runs: what uses them is restarted, and nothing else.
    another = elliptic(tmp_path, "another", "prime256v1")
    etcd = pid_of(cli, "etcd")
    cli.ok("up", "--authority", f"server={another}")
    assert pid_of(cli, "etcd") == etcd
    served(cli, tmp_path / "another.crt")
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok"
    assert kubectl(cli, "create", "deployment", "later", "--image=registry.invalid/image").status == 0
    made = kubectl(cli, "wait", "--for=create", "replicaset", "--selector=app=later", "--timeout=30s")
    assert made.status == 0, made.err


def pid_of(cli: Kubedoctor, component: str) -> int:
    return int(next(c["pid"] for c in cli.ok("status", "-o", "json").json["components"] if c["name"] == component))


def test_certificates_renewed_in_a_running_cluster_count_after_the_restarts_that_are_named(cli: Kubedoctor) -> None:
    cli.ok("up")
    ca = cli.home / "clusters" / "local" / "pki" / "server-ca.crt"
    before = served(cli, ca)
    renewed = cli.ok("certs", "renew", "serving-kube-apiserver", "client-admin")
    assert renewed.out.split() == ["renewed", "client-admin", "renewed", "serving-kube-apiserver"]
    named = named_to_restart(renewed.err)
    assert named == ["kube-apiserver"]
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok", "the kubeconfig has the new certificate"
    cli.ok("restart", *named)
    assert served(cli, ca) != before

    # An authority: nothing signed by the old one is trusted once all that are named were restarted.
    renewed = cli.ok("certs", "renew", "server-ca", "client-ca", "etcd-ca")
    named = named_to_restart(renewed.err)
    assert sorted(named) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    for component in named:
        cli.ok("restart", component)
    assert "ready" in cli.ok("status").out
    assert kubectl(cli, "get", "--raw", "/readyz").out == "ok"
    assert kubectl(cli, "create", "deployment", "web", "--image=registry.invalid/image").status == 0
    made = kubectl(cli, "wait", "--for=create", "replicaset", "--selector=app=web", "--timeout=30s")
    assert made.status == 0, made.err


def named_to_restart(text: str) -> list[str]:
    """Return the components in `kubedoctor restart C C …`."""
    return next((line.split()[2:] for line in text.splitlines() if "kubedoctor restart" in line), [])
