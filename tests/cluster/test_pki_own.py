"""Authorities of the user's own, as openssl and cfssl make them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubedoctor.cluster.pki import Issued, issue
from kubedoctor.cluster.pki.pem import read_certificates
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError, KubedoctorError

CFSSL = Path(__file__).parent / "cfssl"
SERVING = Certificate(
    name="serving", authority=Authority.SERVER, common_name="kube-apiserver", sans=("localhost",), server=True
)
PEER = Certificate(
    name="peer", authority=Authority.ETCD, common_name="etcd", sans=("localhost",), server=True, client=True
)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    return ClusterConfig(name="test", directory=tmp_path / "cluster")


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_root(directory: Path, *, days: int = 30, extensions: tuple[str, ...] = (), key: str = "ec") -> None:
    """Leave root.crt and root.key (PKCS#8) in *directory*."""
    added = [word for extension in extensions for word in ("-addext", extension)]
    option = ["-newkey", key] if key != "ec" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]
    names = ["-keyout", "root.key", "-out", "root.crt", "-subj", "/O=Example/CN=Example Root"]
    openssl(directory, "req", "-x509", *option, "-nodes", *names, "-days", str(days), *added)


def make_intermediate(directory: Path) -> None:
    """Leave sub.crt and sub.key in *directory*, signed by the root there."""
    (directory / "sub.cnf").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n")
    openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-out", "sub.key")  # with EC PARAMETERS before it
    openssl(directory, "req", "-new", "-key", "sub.key", "-subj", "/CN=Example Sub", "-out", "sub.csr")
    signing = ["-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-days", "20", "-extfile", "sub.cnf"]
    openssl(directory, "x509", "-req", "-in", "sub.csr", *signing, "-out", "sub.crt")


def verified(config: ClusterConfig, leaf: str, ca: Path) -> None:
    """Fail unless openssl finds the way from *leaf* to *ca* with what the leaf's own file brings along."""
    file = config.pki(f"{leaf}.crt")
    openssl(Path("/"), "verify", "-CAfile", str(ca), "-untrusted", file, file)


@pytest.mark.parametrize("key", ["rsa:2048", "ec"])
def test_root_made_by_openssl_signs_and_is_kept(tmp_path: Path, config: ClusterConfig, key: str) -> None:
    make_root(tmp_path, key=key)
    own = replace(config, authority={"server": f"{tmp_path}/root.crt,{tmp_path}/root.key"})
    assert "server-ca" in issue(own, (SERVING,)).renewed
    verified(own, "serving", tmp_path / "root.crt")
    assert issue(own, (SERVING,)) == Issued()
    assert issue(config, (SERVING,)) == Issued(), "it stays when it is no longer named"


@pytest.mark.parametrize(
    "form",
    [("rsa", "-traditional"), ("pkey",)],  # PKCS#1, PKCS#8
)
def test_forms_of_rsa_keys(tmp_path: Path, config: ClusterConfig, form: tuple[str, ...]) -> None:
    make_root(tmp_path, key="rsa:2048")
    openssl(tmp_path, *form, "-in", "root.key", "-out", "form.key")
    own = replace(config, authority={"server-ca": f"{tmp_path}/root.crt,{tmp_path}/form.key"})
    issue(own, (SERVING,))
    verified(own, "serving", tmp_path / "root.crt")


def test_leaf_lives_no_longer_than_the_users_authority(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path, days=30)
    own = replace(config, authority={"server": f"{tmp_path}/root.crt,{tmp_path}/root.key"})
    issue(own, (SERVING,))
    root = read_certificates((tmp_path / "root.crt").read_bytes())[0]
    leaf = read_certificates(Path(own.pki("serving.crt")).read_bytes())[0]
    assert leaf.not_valid_after_utc == root.not_valid_after_utc
    near_the_end = root.not_valid_after_utc - timedelta(hours=5)
    assert "serving" not in issue(own, (SERVING,), now=near_the_end).renewed, "a new one would live no longer"


def test_intermediate_brings_its_chain(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    make_intermediate(tmp_path)
    (tmp_path / "chain.crt").write_bytes((tmp_path / "root.crt").read_bytes() + (tmp_path / "sub.crt").read_bytes())
    own = replace(config, authority={"server": f"{tmp_path}/chain.crt,{tmp_path}/sub.key"})
    issue(own, (SERVING,))
    bundle = read_certificates(Path(own.pki("server-ca.crt")).read_bytes())
    assert [one.subject.rfc4514_string() for one in bundle] == ["CN=Example Sub", "CN=Example Root,O=Example"]
    assert len(read_certificates(Path(own.pki("serving.crt")).read_bytes())) == 2, "leaf and intermediate, no root"
    verified(own, "serving", tmp_path / "root.crt")
    assert issue(own, (SERVING,)) == Issued()


def test_intermediate_without_its_root_is_trusted_itself(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    make_intermediate(tmp_path)
    own = replace(config, authority={"server": f"{tmp_path}/sub.crt,{tmp_path}/sub.key"})
    issue(own, (SERVING,))
    verified(own, "serving", tmp_path / "root.crt")


def test_another_authority_renews_what_the_old_one_signed(tmp_path: Path, config: ClusterConfig) -> None:
    issue(config, (SERVING, PEER))
    make_root(tmp_path)
    own = replace(config, authority={"server": f"{tmp_path}/root.crt,{tmp_path}/root.key"})
    issued = issue(own, (SERVING, PEER))
    assert set(issued.renewed) == {"server-ca", "serving"}


@pytest.mark.parametrize(("certificate", "key"), [("rsa.pem", "rsa-key.pem"), ("chain.pem", "intermediate-key.pem")])
def test_authorities_made_by_cfssl(config: ClusterConfig, certificate: str, key: str) -> None:
    own = replace(config, authority={"etcd": f"{CFSSL}/{certificate},{CFSSL}/{key}"})
    issue(own, (PEER,))
    verified(own, "peer", CFSSL / certificate)
    assert Path(own.pki("etcd-ca.key")).stat().st_mode & 0o777 == 0o600


def test_single_authority_may_be_the_users(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    pair = f"{tmp_path}/root.crt,{tmp_path}/root.key"
    own = replace(config, authority={"server": pair}, single_authority=True)
    issue(own, ())
    verified(own, "client-admin", tmp_path / "root.crt")
    with pytest.raises(ConfigError, match="authority client beside it"):
        issue(replace(own, authority={"server": pair, "client": pair}), ())


def refusal(config: ClusterConfig, value: str, *, role: str = "server", now: datetime | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        issue(replace(config, authority={role: value}), (SERVING,), now=now)
    assert "\n" not in caught.value.message
    assert not Path(config.pki("")).exists(), "nothing may be written before everything is known to fit"
    return caught.value


def test_unknown_role_is_refused_with_the_known_ones(config: ClusterConfig) -> None:
    assert refusal(config, "a,b", role="kubelet").message == (
        "authority `kubelet` is none of server, client, request-header, etcd"
    )


@pytest.mark.parametrize("value", ["", "cert", "cert,", ",key", "a,b,c"])
def test_value_that_is_no_pair_is_refused(config: ClusterConfig, value: str) -> None:
    assert "is not CERT,KEY" in refusal(config, value).message


def test_files_that_cannot_be_read_are_named(tmp_path: Path, config: ClusterConfig) -> None:
    assert refusal(config, f"{tmp_path}/no,{tmp_path}/no").message == (
        f"authority server: {tmp_path}/no cannot be read: No such file or directory"
    )
    assert "Is a directory" in refusal(config, f"{tmp_path},{tmp_path}").message


def test_swapped_files_are_recognised(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    problem = refusal(config, f"{tmp_path}/root.key,{tmp_path}/root.crt")
    assert problem.message.endswith("root.key holds a private key and no certificate")
    assert "CERT,KEY" in problem.hint
    assert (
        "holds a certificate and no private key" in refusal(config, f"{tmp_path}/root.crt,{tmp_path}/root.crt").message
    )


def test_encrypted_key_is_refused_with_the_way_out(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path, key="rsa:2048")
    for form in (["pkey"], ["rsa", "-traditional"]):
        openssl(tmp_path, *form, "-in", "root.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
        problem = refusal(config, f"{tmp_path}/root.crt,{tmp_path}/locked.key")
        assert "locked.key is encrypted" in problem.message
        assert "openssl pkey" in problem.hint


def test_other_forms_are_refused(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    openssl(tmp_path, "x509", "-in", "root.crt", "-outform", "der", "-out", "root.der")
    problem = refusal(config, f"{tmp_path}/root.der,{tmp_path}/root.key")
    assert "holds no certificate in PEM form" in problem.message
    assert "DER" in problem.hint
    (tmp_path / "empty").write_text("")
    assert "empty is empty" in refusal(config, f"{tmp_path}/root.crt,{tmp_path}/empty").message


def test_key_of_another_certificate_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    assert "does not belong to the key in" in refusal(config, f"{tmp_path}/root.crt,{CFSSL}/rsa-key.pem").message


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        ("basicConstraints=critical,CA:FALSE", "is not a CA"),
        ("keyUsage=critical,digitalSignature", "lacks keyCertSign"),
        ("extendedKeyUsage=clientAuth", "extendedKeyUsage lacks serverAuth"),
    ],
)
def test_certificate_that_must_not_sign_is_refused(
    tmp_path: Path, config: ClusterConfig, extension: str, why: str
) -> None:
    make_root(tmp_path, extensions=(extension,))
    assert why in refusal(config, f"{tmp_path}/root.crt,{tmp_path}/root.key").message


def test_dates_are_looked_at(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path, days=30)
    pair = f"{tmp_path}/root.crt,{tmp_path}/root.key"
    now = datetime.now(UTC)
    assert "expired on" in refusal(config, pair, now=now + timedelta(days=31)).message
    assert "is not valid before" in refusal(config, pair, now=now - timedelta(days=1)).message


def test_stranger_in_the_chain_is_refused(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path)
    with (tmp_path / "root.crt").open("ab") as stream:
        stream.write((CFSSL / "rsa.pem").read_bytes())
    message = refusal(config, f"{tmp_path}/root.crt,{tmp_path}/root.key").message
    assert "comes with `CN=kubernetes,OU=CA,O=Kubernetes`, which is not part of its chain" in message


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-algorithm", "ed25519"), "neither RSA nor EC"),
        (("-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"), "RSA key of 1024 bits"),
        (("-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), "EC key on secp256k1"),
    ],
)
def test_key_that_kubernetes_cannot_use_is_refused(
    tmp_path: Path, config: ClusterConfig, arguments: tuple[str, ...], why: str
) -> None:
    make_root(tmp_path)
    openssl(tmp_path, "genpkey", *arguments, "-out", "odd.key")
    assert why in refusal(config, f"{tmp_path}/root.crt,{tmp_path}/odd.key").message


def test_expired_authority_of_the_users_on_disk_is_not_replaced(tmp_path: Path, config: ClusterConfig) -> None:
    make_root(tmp_path, days=30)
    issue(replace(config, authority={"server": f"{tmp_path}/root.crt,{tmp_path}/root.key"}), (SERVING,))
    with pytest.raises(KubedoctorError, match=r"server-ca\.crt expired on"):
        issue(config, (SERVING,), now=datetime.now(UTC) + timedelta(days=31))


@pytest.mark.parametrize("damage", ["garbage", "encrypted", "missing", "fine"])
def test_service_account_key_of_the_users_is_looked_at(tmp_path: Path, config: ClusterConfig, damage: str) -> None:
    make_root(tmp_path)
    key = tmp_path / "root.key"
    if damage == "garbage":
        key.write_text("garbage")
    elif damage == "encrypted":
        openssl(tmp_path, "pkey", "-in", "root.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
        key = tmp_path / "locked.key"
    elif damage == "missing":
        key = tmp_path / "no"
    own = replace(config, service_account_key=str(key))
    if damage == "fine":
        issue(own, ())
        return
    with pytest.raises(ConfigError, match="SERVICE_ACCOUNT_KEY"):
        issue(own, ())
