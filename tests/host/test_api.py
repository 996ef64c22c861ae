from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_server import CA, b64, client, http, json_answer, kubeconfig, served, server_tls

from kubedoctor.facts import Absent, Denied, FactError, Malformed, Silent
from kubedoctor.host.api import api_get, read_access


def test_an_api_is_asked_as_the_user_whose_certificate_is_embedded(tmp_path: Path) -> None:
    one = client()
    user = {"client-certificate-data": b64(one.pem), "client-key-data": b64(one.key_pem)}
    with served(json_answer(200, {"a": 1}), tls=server_tls(tmp_path, clients=True)) as server:
        access = read_access(kubeconfig(tmp_path, f"https://127.0.0.1:{server.port}/", user=user))
        answer = api_get(access, "/version")
    assert json.loads(answer.body) == {"a": 1}
    assert server.lines == ["GET /version HTTP/1.1"]
    assert access.has_certificate
    assert "Accept: application/json" in server.requests[0]


def test_files_are_relative_to_the_kubeconfig_and_embedded_data_wins(tmp_path: Path) -> None:
    client().write(tmp_path / "pki", "one")
    (tmp_path / "token").write_text(" abc\n")
    user = {"client-certificate": "pki/one.crt", "client-key": "pki/one.key", "tokenFile": "token"}
    access = read_access(kubeconfig(tmp_path, user=user, cluster={"certificate-authority": "/no/such/file"}))
    assert access.tls.certificate.startswith(b"-----BEGIN CERTIFICATE")
    assert access.tls.authority == CA.pem
    assert access.headers == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ({}, {}),
        ({"token": "abc"}, {"Authorization": "Bearer abc"}),
        ({"username": "u", "password": "p"}, {"Authorization": f"Basic {b64(b'u:p')}"}),
        ({"token": "abc", "as": "somebody"}, {"Authorization": "Bearer abc", "Impersonate-User": "somebody"}),
    ],
)
def test_a_user_is_known_by_what_the_kubeconfig_has(tmp_path: Path, user: Any, headers: Any) -> None:
    assert read_access(kubeconfig(tmp_path, user=user)).headers == headers


def test_the_server_has_to_be_who_the_kubeconfig_expects(tmp_path: Path) -> None:
    with served(http(200), tls=server_tls(tmp_path, "kubernetes")) as server:
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(Malformed, match="not accepted"):
            api_get(read_access(kubeconfig(tmp_path, url)), "/")
        named = read_access(kubeconfig(tmp_path, url, cluster={"tls-server-name": "kubernetes"}))
        assert api_get(named, "/").status == 200
        careless = {"certificate-authority-data": "", "insecure-skip-tls-verify": True}
        assert api_get(read_access(kubeconfig(tmp_path, url, cluster=careless)), "/").status == 200
        with pytest.raises(Malformed, match="not accepted"):  # nothing is sent to a server that cannot be checked
            api_get(read_access(kubeconfig(tmp_path, url, cluster={"certificate-authority-data": ""})), "/")


def test_a_program_is_never_run_and_a_proxy_never_used(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    program = {"exec": {"command": "touch", "args": [str(witness)], "apiVersion": "client.authentication.k8s.io/v1"}}
    with pytest.raises(Denied, match="runs a program"):
        read_access(kubeconfig(tmp_path, user=program))
    with pytest.raises(Denied, match="provider"):
        read_access(kubeconfig(tmp_path, user={"auth-provider": {"name": "gcp"}}))
    with pytest.raises(Denied, match="proxy"):
        read_access(kubeconfig(tmp_path, cluster={"proxy-url": "http://127.0.0.1:3128"}))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"current-context": ""}, "has no current context"),
        ({"current-context": "nowhere"}, "has no context `nowhere`"),
        ({"clusters": None}, "has no cluster `c`"),
        ({"users": [{"name": "u2"}]}, "has no user `u`"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
        ({"clusters": [{"name": "c", "cluster": {"server": "https://["}}]}, "has no server"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%%%"}}]}, "client-key-data that is no base64"),
        ({"users": [{"name": "u", "user": {"token": "a\r\nb"}}]}, "cannot be sent"),
        ({"contexts": [{"name": "it", "context": {"cluster": "c"}}]}, "names no user"),
    ],
)
def test_what_leads_nowhere_is_malformed(tmp_path: Path, fields: Any, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read_access(kubeconfig(tmp_path, **fields))


def test_a_file_that_is_not_there_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        read_access(str(tmp_path / "none"))
    with pytest.raises(Absent):
        read_access(kubeconfig(tmp_path, user={"client-certificate": "none.crt"}))


def test_no_secret_is_in_what_an_access_shows(tmp_path: Path) -> None:
    user = {"token": "geheim", "client-key-data": b64(b"geheim")}
    assert "geheim" not in repr(read_access(kubeconfig(tmp_path, user=user)))


def test_an_api_that_is_not_there_is_silent(tmp_path: Path) -> None:
    with pytest.raises(Silent):
        api_get(read_access(kubeconfig(tmp_path, "https://127.0.0.1:1")), "/")


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["current-context", "contexts", "clusters", "users", "name", "user", "cluster", "context", "server"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    )
)
def test_any_document_is_an_access_or_a_fact_error(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    path = tmp_path_factory.mktemp("k") / "kubeconfig"
    path.write_text(json.dumps(document))
    with pytest.raises(FactError):
        read_access(str(path))
