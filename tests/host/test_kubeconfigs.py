"""Kubeconfigs as facts: references, certificates and plugins of any kubeconfig, and no secret of it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import authority

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Denied, Malformed
from kubedoctor.host.kubeconfigs import KubeconfigFact, kubeconfig, parse_kubeconfig
from kubedoctor.jsonform import from_json, to_json

CA = authority("kubernetes-ca")
ADMIN = CA.issue("kubernetes-admin", organizations=["system:masters"])


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def document(cluster: Any = None, user: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "https://10.1.2.3:6443"} if cluster is None else cluster}],
        "users": [{"name": "u", "user": {"token": "t0ps3cret"} if user is None else user}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        **changes,
    }


def parse(cluster: Any = None, user: Any = None, **changes: Any) -> KubeconfigFact:
    return parse_kubeconfig(yaml.safe_dump(document(cluster, user, **changes)).encode(), "/etc/k/admin.conf")


def test_what_kubeadm_writes_is_read_with_its_certificates() -> None:
    found = parse(
        {"server": "https://10.1.2.3:6443", "certificate-authority-data": b64(CA.pem)},
        {"client-certificate-data": b64(ADMIN.pem), "client-key-data": b64(ADMIN.key_pem)},
    )
    assert found.problems == ()
    cluster, user = found.cluster, found.user
    assert cluster is not None
    assert user is not None
    assert (cluster.scheme, cluster.host, cluster.port) == ("https", "10.1.2.3", 6443)
    assert [one.common_name for one in cluster.ca] == ["kubernetes-ca"]
    assert [one.common_name for one in user.certificates] == ["kubernetes-admin"]
    assert user.key is not None
    assert user.key.hash == user.certificates[0].key


def test_paths_are_beside_the_kubeconfig() -> None:
    found = parse(
        {"server": "https://a", "certificate-authority": "pki/ca.crt"},
        {"client-certificate": "../x.pem", "client-key": "/x.key", "tokenFile": "t"},
    )
    assert found.clusters[0].ca_file == "/etc/k/pki/ca.crt"
    user = found.users[0]
    assert (user.certificate_file, user.key_file, user.token_file) == ("/etc/x.pem", "/x.key", "/etc/k/t")


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("https://a.example:1", ("https", "a.example", 1)),
        ("https://[fd00::1]:6443/path", ("https", "fd00::1", 6443)),
        ("http://a", ("http", "a", 80)),
        ("a:8080", ("http", "a", 8080)),
        ("https://a", ("https", "a", 443)),
        ("https://a:port", ("https", "", 443)),
        ("https://[a", ("http", "", 80)),
        ("", ("http", "", 80)),
    ],
)
def test_a_server_is_taken_apart(server: str, expected: tuple[str, str, int]) -> None:
    cluster = parse({"server": server}).clusters[0]
    assert (cluster.scheme, cluster.host, cluster.port) == expected


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"current-context": ""}, "no current-context is set"),
        ({"current-context": "x"}, "the current context `x` does not exist"),
        ({"contexts": None}, "the current context `c` does not exist"),
        ({"contexts": [{"name": "c", "context": {"cluster": "k"}}]}, "context `c` has no user"),
        ({"contexts": [{"name": "c", "context": {"user": "u"}}]}, "context `c` has no cluster"),
        ({"users": []}, "context `c` refers to user `u`, which does not exist"),
        ({"clusters": []}, "context `c` refers to cluster `k`, which does not exist"),
        ({"cluster": {}}, "cluster `k` has no server"),
        ({"cluster": {"server": "https://[a"}}, "cluster `k` has no server"),
        ({"user": {}}, "user `u` has no credentials"),
        ({"user": {"client-certificate": "/a"}}, "user `u`: it has a client certificate and no key"),
        ({"user": {"client-key": "/a"}}, "user `u`: it has a client key and no certificate"),
        (
            {"user": {"client-certificate-data": b64(b"x")}},
            "user `u`: client-certificate-data holds no certificate in PEM form",
        ),
        (
            {"user": {"client-certificate": "/a", "client-key-data": b64(CA.public_pem)}},
            "user `u`: client-key-data holds no private key",
        ),
        ({"user": {"exec": {"apiVersion": "v1"}}}, "user `u`: its exec plugin has no command"),
        (
            {"cluster": {"server": "https://a", "certificate-authority-data": b64(b"x")}},
            "cluster `k`: certificate-authority-data holds no certificate in PEM form",
        ),
        (
            {"cluster": {"server": "https://a", "certificate-authority": "x", "insecure-skip-tls-verify": True}},
            "cluster `k`: it has a certificate authority and insecure-skip-tls-verify, which exclude each other",
        ),
    ],
)
def test_what_is_wrong_with_the_current_context_is_told(changes: dict[str, Any], problem: str) -> None:
    assert parse(**changes).problems == (problem,)


def test_references_of_other_contexts_are_told_apart() -> None:
    contexts = [
        {"name": "c", "context": {"cluster": "k", "user": "u"}},
        {"name": "old", "context": {"cluster": "gone", "user": "u"}},
    ]
    found = parse(contexts=contexts)
    assert found.problems == ()
    assert found.dangling == ("context `old` refers to cluster `gone`, which does not exist",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", " is not a kubeconfig: its top level is no mapping"),
        (b"kind: Pod", " is not a kubeconfig: its kind is `Pod`"),
        (b"a: b: c", " is not YAML: line 1"),
        (b"clusters: x", ": clusters is no list"),
        (b"clusters: [x]", ": cluster 1 is no mapping"),
        (b"clusters: [{name: 1}]", ": cluster 1: name is no text"),
        (b"clusters: [{name: a}, {name: a}]", " has two clusters `a`"),
        (
            b"clusters: [{name: a, cluster: {insecure-skip-tls-verify: 'true'}}]",
            ": cluster `a`: insecure-skip-tls-verify is neither true nor false",
        ),
        (
            b"clusters: [{name: a, cluster: {certificate-authority-data: '%'}}]",
            ": cluster `a`: certificate-authority-data is not base64",
        ),
        (b"users: [{name: a, user: {exec: x}}]", ": user `a`: exec is no mapping"),
        (b"current-context: [x]", ": current-context is no text"),
    ],
)
def test_what_kubectl_would_not_load_is_malformed(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_kubeconfig(content, "/a")
    assert caught.value.reason == f"/a{reason}"


@pytest.mark.parametrize("content", [b"", b"# nothing", b"- a", b"{}", b"clusters: null"])
def test_what_kubectl_loads_as_nothing_is_nothing(content: bytes) -> None:
    assert parse_kubeconfig(content, "/a").problems == ("no current-context is set",)


SECRETS = {
    "token": "s3cret-token",
    "tokenFile": "/token/file",
    "username": "s3cret-user",
    "password": "s3cret-password",
    "client-key-data": b64(ADMIN.key_pem),
    "client-certificate-data": b64(ADMIN.pem),
    "auth-provider": {"name": "oidc", "config": {"id-token": "s3cret-id", "refresh-token": "s3cret-refresh"}},
    "exec": {"command": "aws", "args": ["--s3cret-arg"], "env": [{"name": "A", "value": "s3cret-env"}]},
}


def test_no_secret_is_in_the_fact() -> None:
    cluster = {"server": "https://u:s3cret-pw@a:1/p?q=s3cret-query", "proxy-url": "http://u:s3cret-proxy@proxy:3128"}
    found = parse(cluster, SECRETS)
    written = json.dumps(to_json(found))
    assert "s3cret" not in written
    assert b64(ADMIN.key_pem) not in written
    user = found.users[0]
    assert (user.has_token, user.has_password, user.exec_command, user.auth_provider) == (True, True, "aws", "oidc")
    assert (found.clusters[0].server, found.clusters[0].proxy_url) == ("https://a:1/p", "http://proxy:3128")


@pytest.mark.parametrize(
    "damage", [b"a: *s3cret", b"token: 's3cret", b"s3cret: s3cret: s3cret", b"users: s3cret", b"s3cret"]
)
def test_no_secret_is_in_what_is_said_of_a_malformed_one(damage: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_kubeconfig(damage, "/a")
    assert "s3cret" not in caught.value.reason


def test_an_exec_plugin_is_found_on_the_path_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_, ran = tmp_path / "bin", tmp_path / "ran"
    bin_.mkdir()
    (bin_ / "plugin").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (bin_ / "no-program").write_text("")
    (bin_ / "plugin").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_))

    def found(command: str) -> str | None:
        file = tmp_path / "config"
        file.write_text(yaml.safe_dump(document(user={"exec": {"command": command}})))
        return SharedLook().get(kubeconfig, str(file)).users[0].exec_path

    assert found("plugin") == str(bin_ / "plugin")
    assert found("./bin/plugin") == str(bin_ / "plugin")
    assert found("no-program") == found("nowhere") == found("./plugin") == ""
    assert not ran.exists()


def test_mode_and_owner_of_the_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document()))
    file.chmod(0o604)
    found = SharedLook().get(kubeconfig, str(file), 0)
    assert (found.mode, found.uid, found.path) == (0o604, file.stat().st_uid, str(file))
    with pytest.raises(Absent):
        SharedLook().get(kubeconfig, str(tmp_path / "none"))


def test_a_link_out_of_its_root_leads_where_it_leads_that_process(tmp_path: Path) -> None:
    # Our own process as the root: an absolute link is seen as we see it.
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document()))
    (tmp_path / "link").symlink_to(file)
    try:
        assert SharedLook().get(kubeconfig, str(tmp_path / "link"), os.getpid()).current == "c"
    except Denied:
        pytest.skip("openat2 is not allowed here")


texts = st.text(max_size=8) | st.sampled_from(["k", "u", "c", "https://a:1", "https://[", "/x"])
anything = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)
fields = st.sampled_from(
    [
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "proxy-url",
        "tls-server-name",
        "token",
        "client-certificate",
        "client-key-data",
        "exec",
        "auth-provider",
        "cluster",
        "user",
        "username",
    ]
)
bodies = st.dictionaries(fields, anything | st.dictionaries(texts, anything, max_size=2), max_size=3) | anything
entries = st.lists(
    st.fixed_dictionaries({"name": texts}, optional={"cluster": bodies, "user": bodies, "context": bodies}), max_size=3
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "clusters": entries,
            "users": entries,
            "contexts": entries,
            "current-context": texts,
            "kind": anything,
        },
    )
)
def test_any_mapping_is_a_kubeconfig_or_malformed(value: dict[str, Any]) -> None:
    try:
        found = parse_kubeconfig(json.dumps(value).encode(), "/d/config")
    except Malformed:
        return
    assert from_json(KubeconfigFact, json.loads(json.dumps(to_json(found)))) == found
    assert isinstance(found.problems + found.dangling, tuple)
    for cluster in found.clusters:
        assert isinstance((cluster.scheme, cluster.host, cluster.port), tuple)
