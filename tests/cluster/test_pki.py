"""Issuing: what is made, what is kept, what is made anew and why."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubedoctor.cluster.pki import Issued, issue
from kubedoctor.cluster.pki.pem import belong_together, read_certificates, read_key
from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError, KubedoctorError, PlanError

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
SERVING = Certificate(
    name="serving-kube-apiserver",
    authority=Authority.SERVER,
    common_name="kube-apiserver",
    sans=("kubernetes.default.svc", "localhost", "127.0.0.1", "::1", "10.0.0.1"),
    server=True,
)
SCHEDULER = Certificate(
    name="client-scheduler", authority=Authority.CLIENT, common_name="system:kube-scheduler", client=True
)
PEER = Certificate(
    name="serving-etcd", authority=Authority.ETCD, common_name="etcd", sans=("localhost",), server=True, client=True
)
LEAVES = (SERVING, SCHEDULER, PEER)


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    return ClusterConfig(name="test", directory=tmp_path)


def certificate(config: ClusterConfig, name: str) -> x509.Certificate:
    return read_certificates(Path(config.pki(f"{name}.crt")).read_bytes())[0]


def contents(config: ClusterConfig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(config.pki("")).iterdir()}


def test_first_issue_makes_authorities_leaves_and_service_account_key(config: ClusterConfig) -> None:
    issued = issue(config, LEAVES, now=NOW)
    names = {role.value for role in Authority} | {leaf.name for leaf in LEAVES} | {"client-admin", "service-account"}
    assert set(issued.renewed) == names
    assert issued.notes == ()
    assert set(issued.reasons.values()) == {"new"}
    for name in names - {"service-account"}:
        assert belong_together(certificate(config, name), read_key(Path(config.pki(f"{name}.key")).read_bytes()))


def test_authorities_have_subjects_of_their_own(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    subjects = {certificate(config, role.value).subject.rfc4514_string() for role in Authority}
    assert subjects == {f"CN=kubedoctor-test-{role.value}" for role in Authority}


def test_public_service_account_key_is_the_private_ones(config: ClusterConfig) -> None:
    issue(config, (), now=NOW)
    private = read_key(Path(config.pki("service-account.key")).read_bytes())
    public = Path(config.pki("service-account.pub")).read_bytes()
    assert public.startswith(b"-----BEGIN PUBLIC KEY-----")
    assert load_pem_public_key(public) == private.public_key()


def test_keys_are_private_and_certificates_readable_whatever_the_umask(config: ClusterConfig) -> None:
    before = os.umask(0)
    try:
        issue(config, LEAVES, now=NOW)
    finally:
        os.umask(before)
    directory = Path(config.pki(""))
    assert directory.stat().st_mode & 0o777 == 0o700
    for path in directory.iterdir():
        assert path.stat().st_mode & 0o777 == (0o600 if path.suffix == ".key" else 0o644), path.name


def test_leaf_says_what_was_declared(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    leaf = certificate(config, "serving-kube-apiserver")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(str(name.value) for name in names) == SERVING.sans
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    admin = certificate(config, "client-admin")
    assert admin.subject.rfc4514_string() == "CN=system:admin,O=system:masters"


def test_authority_outlives_its_leaves_and_both_are_backdated(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    leaf, authority = certificate(config, "client-scheduler"), certificate(config, "client-ca")
    assert leaf.not_valid_after_utc == NOW + timedelta(days=365)
    assert authority.not_valid_after_utc == NOW + timedelta(days=3650)
    assert leaf.not_valid_before_utc == authority.not_valid_before_utc == NOW - timedelta(hours=1)


def test_second_issue_keeps_everything(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    before = contents(config)
    assert issue(config, reversed(LEAVES), now=NOW + timedelta(days=200)) == Issued()
    assert contents(config) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sans": (*SERVING.sans, "api.test")}, "it lacks api.test"),
        ({"common_name": "other"}, "it is for `CN=kube-apiserver`"),
        ({"organizations": ("system:masters",)}, "it is for `CN=kube-apiserver`"),
        ({"client": True}, "its usages differ"),
        ({"authority": Authority.ETCD}, "it is not signed by `CN=kubedoctor-test-etcd-ca`"),
    ],
)
def test_leaf_that_differs_from_what_is_wanted_is_made_anew_alone(
    config: ClusterConfig, change: dict[str, object], reason: str
) -> None:
    issue(config, LEAVES, now=NOW)
    changed = replace(SERVING, **change)  # type: ignore[arg-type]
    issued = issue(config, (changed, SCHEDULER, PEER), now=NOW)
    assert issued.reasons == {"serving-kube-apiserver": reason}
    assert issued.notes == (f"serving-kube-apiserver was made anew: {reason}",)
    assert issue(config, (changed, SCHEDULER, PEER), now=NOW) == Issued()


def test_leaf_with_more_names_than_wanted_is_kept(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    assert issue(config, (replace(SERVING, sans=("localhost", "0:0::1")), SCHEDULER, PEER), now=NOW) == Issued()


def test_leaf_with_less_than_a_fifth_of_its_life_left_is_renewed(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    assert issue(config, LEAVES, now=NOW + timedelta(days=290)) == Issued()
    issued = issue(config, LEAVES, now=NOW + timedelta(days=300))
    assert issued.reasons == dict.fromkeys([leaf.name for leaf in LEAVES] + ["client-admin"], "it expires in 65 days")


def test_expired_leaf_is_renewed(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    issued = issue(config, LEAVES, now=NOW + timedelta(days=400))
    assert issued.reasons["client-scheduler"] == "it expired on 2028-02-29"
    assert "client-ca" not in issued.renewed


def test_clock_that_went_back_renews_what_is_not_valid_yet(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    early = NOW - timedelta(days=2)
    issued = issue(config, LEAVES, now=early)
    assert issued.reasons["client-scheduler"].endswith("the clock went back")
    assert certificate(config, "client-scheduler").not_valid_before_utc <= early
    assert certificate(config, "client-ca").not_valid_before_utc <= early


def test_ending_authority_keeps_its_key_so_that_what_it_signed_stays_valid(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    old = certificate(config, "client-ca")
    late = NOW + timedelta(days=3000)
    issued = issue(config, LEAVES, now=late)
    new = certificate(config, "client-ca")
    assert new.public_key() == old.public_key()
    assert new.subject == old.subject
    assert new.not_valid_after_utc == late + timedelta(days=3650)
    assert "client-ca expires in 650 days: renewed with the same key" in issued.notes


def test_leaf_never_outlives_its_authority(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    late = NOW + timedelta(days=3650 - 731)  # just before the authority itself is renewed
    issue(config, LEAVES, now=late)
    for name in ("client-scheduler", "serving-etcd"):
        assert certificate(config, name).not_valid_after_utc <= certificate(config, "client-ca").not_valid_after_utc


def test_without_reuse_all_is_anew_but_the_service_account_key(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    before = contents(config)
    issued = issue(replace(config, reuse_certs=False), LEAVES, now=NOW)
    after = contents(config)
    kept = {name for name in before if before[name] == after[name]}
    assert kept == {"service-account.key", "service-account.pub"}
    assert "service-account" not in issued.renewed
    assert set(issued.reasons.values()) == {"asked for"}


def test_change_of_key_type_makes_the_leaves_anew_and_keeps_the_authorities(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    issued = issue(replace(config, key_type="rsa"), LEAVES, now=NOW)
    assert set(issued.renewed) == {leaf.name for leaf in LEAVES} | {"client-admin"}
    assert issued.reasons["serving-etcd"] == "its key is ECDSA"


def test_single_authority_is_the_servers_for_clients_too(config: ClusterConfig) -> None:
    single = replace(config, single_authority=True)
    issue(single, LEAVES, now=NOW)
    files = contents(config)
    assert files["client-ca.crt"] == files["server-ca.crt"]
    assert files["client-ca.key"] == files["server-ca.key"]
    assert issue(single, LEAVES, now=NOW) == Issued()
    issued = issue(config, LEAVES, now=NOW)
    assert set(issued.renewed) == {"client-ca", "client-scheduler", "client-admin"}


@pytest.mark.parametrize("damage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_damaged_leaf_is_made_anew_with_a_note(config: ClusterConfig, damage: bytes) -> None:
    issue(config, LEAVES, now=NOW)
    Path(config.pki("client-scheduler.crt")).write_bytes(damage)
    issued = issue(config, LEAVES, now=NOW)
    assert issued.renewed == ("client-scheduler",)
    assert len(issued.notes) == 1


def test_leaf_whose_key_is_gone_or_another_is_made_anew(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    Path(config.pki("client-scheduler.key")).unlink()
    Path(config.pki("serving-etcd.key")).write_bytes(Path(config.pki("client-admin.key")).read_bytes())
    assert issue(config, LEAVES, now=NOW).reasons == {
        "client-scheduler": "its key was gone",
        "serving-etcd": "the key is not that of the certificate",
    }


def test_damaged_authority_with_leaves_is_an_error_and_changes_nothing(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    Path(config.pki("client-ca.key")).write_text("garbage")
    before = contents(config)
    with pytest.raises(KubedoctorError, match=r"client-ca\.crt holds no private key in PEM form") as caught:
        issue(config, LEAVES, now=NOW)
    assert "kubedoctor certs renew client-ca" in caught.value.hint
    assert contents(config) == before


def test_damaged_authority_that_signed_nothing_is_made_anew(config: ClusterConfig) -> None:
    issue(config, (), now=NOW)
    Path(config.pki("etcd-ca.crt")).write_text("")
    issued = issue(config, (), now=NOW)
    assert issued.renewed == ("etcd-ca",)
    assert issued.notes == ("etcd-ca is empty: made anew",)


def test_damaged_service_account_key_is_an_error_that_tells_what_is_lost(config: ClusterConfig) -> None:
    issue(config, (), now=NOW)
    Path(config.pki("service-account.key")).write_text("garbage")
    with pytest.raises(KubedoctorError, match=r"service-account\.key holds no private key") as caught:
        issue(config, (), now=NOW)
    assert "tokens" in caught.value.hint


def test_lost_public_key_comes_back_from_the_private_one(config: ClusterConfig) -> None:
    issue(config, (), now=NOW)
    public = Path(config.pki("service-account.pub"))
    text = public.read_bytes()
    public.unlink()
    assert issue(config, (), now=NOW).renewed == ("service-account",)
    assert public.read_bytes() == text


def test_key_open_to_others_is_closed_and_said(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    key = Path(config.pki("client-admin.key"))
    key.chmod(0o644)
    issued = issue(config, LEAVES, now=NOW)
    assert issued.notes == (f"{key} was open to others (mode 644); now 600",)
    assert key.stat().st_mode & 0o777 == 0o600


def test_link_in_place_of_a_leaf_is_replaced_and_not_followed(config: ClusterConfig, tmp_path: Path) -> None:
    issue(config, LEAVES, now=NOW)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("client-scheduler.crt", "client-scheduler.key"):
        Path(config.pki(name)).unlink()
        Path(config.pki(name)).symlink_to(victim)
    assert issue(config, LEAVES, now=NOW).reasons == {"client-scheduler": "it is a symbolic link"}
    assert victim.read_text() == "precious"
    assert not Path(config.pki("client-scheduler.key")).is_symlink()


def test_link_in_place_of_an_authority_is_an_error(config: ClusterConfig, tmp_path: Path) -> None:
    issue(config, LEAVES, now=NOW)
    key = Path(config.pki("server-ca.key"))
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KubedoctorError, match="is a symbolic link"):
        issue(config, LEAVES, now=NOW)


def test_directory_that_others_can_write_is_refused(config: ClusterConfig) -> None:
    directory = Path(config.pki(""))
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(KubedoctorError, match="other users can write"):
        issue(config, (), now=NOW)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_file_of_another_user_is_not_trusted(config: ClusterConfig) -> None:
    issue(config, LEAVES, now=NOW)
    os.chown(config.pki("server-ca.key"), 1234, -1)
    with pytest.raises(KubedoctorError, match="belongs to user 1234"):
        issue(config, LEAVES, now=NOW)


def test_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = ClusterConfig(directory=tmp_path, cert_dir=str(tmp_path / "file" / "pki"))
    with pytest.raises(KubedoctorError, match="cannot write certificates to"):
        issue(config, (), now=NOW)


def test_two_declarations_of_one_name_must_agree(config: ClusterConfig) -> None:
    issue(config, (SERVING, SERVING), now=NOW)
    with pytest.raises(PlanError, match="declared twice"):
        issue(config, (SERVING, replace(SERVING, common_name="other")), now=NOW)


@pytest.mark.parametrize("name", ["", "../x", "server-ca", "service-account", "A", "a/b"])
def test_name_that_is_no_file_of_its_own_is_refused(config: ClusterConfig, name: str) -> None:
    with pytest.raises(PlanError, match="cannot be the name of a certificate"):
        issue(config, (replace(SERVING, name=name),), now=NOW)


def test_common_name_too_long_for_a_certificate_is_refused(config: ClusterConfig) -> None:
    with pytest.raises(PlanError, match="1 to 64 characters"):
        issue(config, (replace(SCHEDULER, common_name="system:node:" + "n" * 60),), now=NOW)


@pytest.mark.parametrize("name", ["two words", "münchen", "a..b", "-a", "x" * 254, "10.0.0.1/24"])
def test_name_that_is_neither_address_nor_host_is_refused(config: ClusterConfig, name: str) -> None:
    with pytest.raises(ConfigError, match="neither an address nor a host name"):
        issue(config, (replace(SERVING, sans=(name,)),), now=NOW)


def test_names_are_taken_in_one_form(config: ClusterConfig) -> None:
    odd = replace(SERVING, sans=("[::1]", "0::1", "LOCALHOST", "localhost.", "*.apps.test", "under_score"))
    issue(config, (odd,), now=NOW)
    names = certificate(config, "serving-kube-apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(name.value) for name in names.value] == ["::1", "localhost", "*.apps.test", "under_score"]


def test_rsa_keys_have_2048_bits(config: ClusterConfig) -> None:
    issue(replace(config, key_type="rsa"), (), now=NOW)
    for name in ("server-ca", "client-admin", "service-account"):
        assert read_key(Path(config.pki(f"{name}.key")).read_bytes()).key_size == 2048


@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_openssl_agrees(config: ClusterConfig, key_type: str) -> None:
    issue(replace(config, key_type=key_type), LEAVES)
    for leaf, authority, purpose in [
        ("serving-kube-apiserver", "server-ca", "sslserver"),
        ("client-scheduler", "client-ca", "sslclient"),
        ("serving-etcd", "etcd-ca", "sslserver"),
        ("serving-etcd", "etcd-ca", "sslclient"),
    ]:
        verify = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
        files = [config.pki(f"{authority}.crt"), config.pki(f"{leaf}.crt")]
        subprocess.run([*verify, "-CAfile", *files], check=True, capture_output=True)


def test_several_at_once_agree(config: ClusterConfig) -> None:
    code = (
        "import sys; from pathlib import Path; from kubedoctor.config import ClusterConfig;"
        "from kubedoctor.cluster.pki import issue; issue(ClusterConfig(name='test', directory=Path(sys.argv[1])), ())"
    )
    argv = [sys.executable, "-c", code, str(config.directory)]
    processes = [subprocess.Popen(argv, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert issue(config, ()) == Issued()


def test_importing_the_package_costs_no_cryptography() -> None:
    code = "import sys, kubedoctor.cluster.pki; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_issue_stays_a_function_once_it_was_called(config: ClusterConfig) -> None:
    issue(config, ())
    package = sys.modules["kubedoctor.cluster.pki"]
    assert callable(package.issue), "no module of the package may have its name"
