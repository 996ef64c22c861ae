"""Listing and renewing what is in a certificate directory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubedoctor.cluster import certificates
from kubedoctor.cluster.documents import Plan, PlannedComponent
from kubedoctor.cluster.kubeconfig import write_kubeconfig
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.pki import Issued, issue
from kubedoctor.cluster.pki.leaf import described
from kubedoctor.cluster.pki.listing import list_certificates
from kubedoctor.cluster.pki.pem import read_certificates
from kubedoctor.cluster.pki.renew import leaf_names, renew_named
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.jsonform import to_json

SERVING = Certificate(
    name="serving", authority=Authority.SERVER, common_name="api", sans=("localhost", "10.0.0.1"), server=True
)
CLIENT = Certificate(
    name="client-scheduler",
    authority=Authority.CLIENT,
    common_name="system:kube-scheduler",
    organizations=("a", "b"),
    client=True,
)
LEAVES = (SERVING, CLIENT)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    config = ClusterConfig(name="test", directory=tmp_path / "clusters" / "test")
    config.directory.mkdir(parents=True)
    issue(config, LEAVES)
    return config


def pki(config: ClusterConfig) -> Path:
    return Path(config.pki(""))


def changed(before: dict[str, bytes], config: ClusterConfig) -> set[str]:
    after = contents(config)
    return {name.rpartition(".")[0] for name in after if after[name] != before.get(name)}


def contents(config: ClusterConfig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in pki(config).iterdir()}


def test_leaf_is_renewed_alone_and_as_it_was(config: ClusterConfig) -> None:
    before = contents(config)
    issued = renew_named(pki(config), ["client-scheduler"], cluster="test")
    assert issued == Issued(reasons={"client-scheduler": "asked for"})
    assert changed(before, config) == {"client-scheduler"}
    leaf = read_certificates((pki(config) / "client-scheduler.crt").read_bytes())[0]
    assert described(leaf, CLIENT) == CLIENT
    assert issue(config, LEAVES) == Issued(), "what was renewed is as the components want it"


def test_authority_is_renewed_with_a_new_key_and_all_it_signed(config: ClusterConfig) -> None:
    before = contents(config)
    issued = renew_named(pki(config), ["client-ca"], cluster="test")
    assert set(issued.renewed) == {"client-ca", "client-scheduler", "client-admin"} == changed(before, config)
    assert issue(config, LEAVES) == Issued()


def test_single_authority_stays_one_when_it_is_renewed(config: ClusterConfig) -> None:
    single = replace(config, single_authority=True)
    issue(single, LEAVES)
    issued = renew_named(pki(config), ["client-ca"], cluster="test")
    assert {"server-ca", "client-ca", "serving", "client-scheduler"} <= set(issued.renewed)
    assert issue(single, LEAVES) == Issued()


def test_damaged_authority_is_replaced_when_it_is_named(config: ClusterConfig) -> None:
    (pki(config) / "server-ca.key").write_text("garbage")
    with pytest.raises(KubedoctorError):
        issue(config, LEAVES)
    renew_named(pki(config), ["server-ca"], cluster="test")
    assert issue(config, LEAVES).reasons == {"serving": "it is not signed by `CN=kubedoctor-test-server-ca`"}


def test_every_leaf_is_found_and_no_authority(config: ClusterConfig) -> None:
    assert leaf_names(pki(config)) == ("client-admin", "client-scheduler", "serving")


def test_unknown_name_is_refused_before_anything_is_written(config: ClusterConfig) -> None:
    before = contents(config)
    with pytest.raises(UsageError, match="there is no certificate `nonsense`") as caught:
        renew_named(pki(config), ["client-scheduler", "nonsense"], cluster="test")
    assert "client-scheduler" in caught.value.hint
    with pytest.raises(UsageError, match="is a key and no certificate"):
        renew_named(pki(config), ["service-account"], cluster="test")
    assert contents(config) == before


def test_leaf_of_a_stranger_is_not_renewed(config: ClusterConfig, tmp_path: Path) -> None:
    other = ClusterConfig(directory=tmp_path / "other")
    issue(other, ())
    (pki(config) / "foreign.crt").write_bytes(Path(other.pki("client-admin.crt")).read_bytes())
    with pytest.raises(KubedoctorError, match=r"foreign\.crt is signed by none"):
        renew_named(pki(config), ["foreign"], cluster="test")
    assert "foreign" not in leaf_names(pki(config))


def test_expired_authority_is_not_used_to_renew(config: ClusterConfig) -> None:
    with pytest.raises(KubedoctorError, match=r"client-ca\.crt expired on"):
        renew_named(pki(config), ["client-scheduler"], cluster="test", now=datetime.now(UTC) + timedelta(days=4000))


def test_list_shows_authorities_first_and_what_is_wrong(config: ClusterConfig) -> None:
    (pki(config) / "broken.crt").write_text("garbage")
    (pki(config) / "client-scheduler.key").unlink()
    listed = {one.name: one for one in list_certificates(pki(config))}
    assert list(listed)[:4] == ["client-ca", "etcd-ca", "request-header-ca", "server-ca"]
    assert listed["broken"].problem == "holds no certificate in PEM form"
    assert listed["client-scheduler"].problem == "has no key"
    serving = listed["serving"]
    assert (serving.usages, serving.key, serving.problem) == (("server",), "ECDSA P-256", "")
    assert serving.sans == SERVING.sans
    assert serving.issuer == listed["server-ca"].subject == "CN=kubedoctor-test-server-ca"
    assert serving.seconds_left is not None
    assert 364 < serving.seconds_left / 86400 <= 365


def test_list_tells_what_expired_and_what_is_about_to(config: ClusterConfig) -> None:
    later = datetime.now(UTC) + timedelta(days=330)
    assert {one.name for one in list_certificates(pki(config), later) if one.ending} == {
        "client-admin",
        "client-scheduler",
        "serving",
    }
    much_later = datetime.now(UTC) + timedelta(days=400)
    assert {one.problem for one in list_certificates(pki(config), much_later) if "ca" not in one.usages} == {"expired"}


def component(name: str, *flags: str) -> PlannedComponent:
    return PlannedComponent(name=name, kind="control-plane", binary="/x", version="v1", argv=("/x", *flags))


def test_renewal_names_the_components_that_use_it_and_embeds_it_anew(config: ClusterConfig) -> None:
    paths = ClusterPaths.of("test")
    kubeconfigs = config.directory / "kubeconfig"
    kubeconfigs.mkdir()
    for name, leaf, embed in [("admin", "client-admin", True), ("kube-scheduler", "client-scheduler", False)]:
        write_kubeconfig(
            kubeconfigs / name,
            server="https://127.0.0.1:6443",
            ca_file=config.pki("server-ca.crt"),
            cert_file=config.pki(f"{leaf}.crt"),
            key_file=config.pki(f"{leaf}.key"),
            cluster="test",
            user=name,
            embed=embed,
        )
    plan = Plan(
        cluster="test",
        place="node-1",
        place_kind="sandbox",
        kubernetes="v1",
        directory="",
        address="",
        components=(
            component("kube-apiserver", f"--tls-cert-file={config.pki('serving.crt')}"),
            component("kube-scheduler", f"--kubeconfig={kubeconfigs / 'kube-scheduler'}"),
            component("etcd", f"--trusted-ca-file={config.pki('etcd-ca.crt')}"),
        ),
    )
    paths.place().directory.mkdir(parents=True)
    paths.place().plan.write_text(json.dumps(to_json(plan)))

    assert certificates.renew(paths, ["client-scheduler"]).components == ("kube-scheduler",)
    assert certificates.renew(paths, ["serving"]).components == ("kube-apiserver",)
    assert certificates.renew(paths, ["server-ca"]).components == ("kube-apiserver", "kube-scheduler")
    assert certificates.renew(paths, ["etcd-ca"]).components == ("etcd",)
    assert set(certificates.renew(paths, []).issued.renewed) == {"client-admin", "client-scheduler", "serving"}
    admin = (kubeconfigs / "admin").read_text()
    for file in ("client-admin.crt", "client-admin.key", "server-ca.crt"):
        assert base64.b64encode((pki(config) / file).read_bytes()).decode() in admin, file
    assert (kubeconfigs / "admin").stat().st_mode & 0o777 == 0o600
