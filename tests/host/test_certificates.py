"""Certificates as facts: read from files of anybody, and whether one signed another."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import NOW, authority, issue

from kubedoctor.cluster.pki.pem import PemError, read_certificates
from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.certificates import CertificateFact, certificates, issued_by, parse_certificates
from kubedoctor.jsonform import from_json, to_json

CA = authority("kubernetes-ca")
SERVER = CA.issue("kube-apiserver", "kubernetes", "*.example.com", "10.0.0.1", "::1", organizations=["a", "b"])


def parsed(pem: bytes) -> CertificateFact:
    return parse_certificates(pem, "x.crt")[0]


def test_a_certificate_says_what_is_in_it() -> None:
    found = parsed(SERVER.pem)
    assert (found.subject, found.issuer) == ("CN=kube-apiserver,O=b,O=a", "CN=kubernetes-ca")
    assert (found.common_name, found.organizations) == ("kube-apiserver", ("a", "b"))
    assert found.sans == ("kubernetes", "*.example.com", "10.0.0.1", "::1")
    assert (found.not_before, found.not_after) == (NOW.timestamp() - 86400, NOW.timestamp() + 365 * 86400)
    assert found.serial == f"{SERVER.certificate.serial_number:x}"
    assert (found.key_type, found.signature) == ("ECDSA P-256", "ecdsa-with-SHA256")
    assert (found.is_ca, found.may_sign, found.server, found.client) == (False, False, True, True)
    assert found.authority_key_id == parsed(CA.pem).subject_key_id != ""
    assert base64.b64decode(found.der) == SERVER.certificate.public_bytes(Encoding.DER)


def test_an_authority_is_known_as_one() -> None:
    found = parsed(CA.pem)
    assert found.is_ca
    assert found.may_sign
    assert found.is_self_issued


@pytest.mark.parametrize(
    ("usages", "expected"), [(("server",), (True, False)), (("client",), (False, True)), ((), (True, True))]
)
def test_what_says_nothing_of_its_use_may_be_used_for_all(usages: tuple[str, ...], expected: tuple[bool, bool]) -> None:
    found = parsed(issue("x", usages=usages).pem)
    assert (found.server, found.client) == expected


@pytest.mark.parametrize(
    "host", ["kubernetes", "KUBERNETES", "kubernetes.", "a.example.com", "10.0.0.1", "::1", "[::1]", "0:0::1"]
)
def test_it_covers_the_hosts_go_would_accept_it_for(host: str) -> None:
    assert parsed(SERVER.pem).covers(host)


@pytest.mark.parametrize(
    "host",
    ["kube-apiserver", "example.com", ".example.com", "a.b.example.com", "10.0.0.2", "", "*", "10.0.0.1.example.org"],
)
def test_it_covers_no_other_host(host: str) -> None:
    assert not parsed(SERVER.pem).covers(host)


def test_an_address_written_as_a_dns_name_does_not_count() -> None:
    found = replace(parsed(SERVER.pem), dns_names=("10.0.0.9",))
    assert not found.covers("10.0.0.9")


def test_only_who_really_signed_is_the_issuer() -> None:
    again = authority("kubernetes-ca")
    leaf = parsed(SERVER.pem)
    assert issued_by(leaf, parsed(CA.pem))
    assert not issued_by(leaf, parsed(again.pem))
    assert not issued_by(leaf, parsed(authority("other").pem))
    assert not issued_by(leaf, leaf)


def test_a_fact_comes_back_from_a_recording_and_can_still_be_verified() -> None:
    leaf, ca = (from_json(CertificateFact, json.loads(json.dumps(to_json(parsed(one.pem))))) for one in (SERVER, CA))
    assert leaf == parsed(SERVER.pem)
    assert issued_by(leaf, ca)


def test_all_certificates_of_a_file_are_read_in_their_order_past_text_and_keys(tmp_path: Path) -> None:
    file = tmp_path / "bundle.pem"
    file.write_bytes(b"# leaf\r\n" + SERVER.pem.replace(b"\n", b"\r\n") + SERVER.key_pem + b"the CA:\n" + CA.pem)
    found = SharedLook().get(certificates, str(file))
    assert [one.common_name for one in found] == ["kube-apiserver", "kubernetes-ca"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"hello", "holds no certificate in PEM form"),
        (SERVER.key_pem, "holds a private key and no certificate"),
        (base64.b64decode(parsed(SERVER.pem).der), "holds DER, not PEM"),
        (
            CA.pem + SERVER.pem.replace(b"\nMII", b"\nMIH"),
            f"has a damaged certificate in line {len(CA.pem.splitlines()) + 1}",
        ),
        (b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "has a damaged certificate in line 1"),
        (b"-----BEGIN CERTIFICATE-----\n" * 5, "holds no certificate in PEM form"),
        (CA.pem[:-30], "holds no certificate in PEM form"),
        (CA.pem * 1001, "has more than 1000 certificates"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_says_where(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_certificates(content, "x.crt")
    assert caught.value.reason == f"x.crt {reason}"


def test_a_file_that_is_not_there_is_absent(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        SharedLook().get(certificates, str(tmp_path / "none.crt"))


def test_names_cannot_steer_a_terminal() -> None:
    found = parsed(issue("evil\x1b[2J\nname").pem)
    assert found.common_name.isprintable()
    assert found.subject.isprintable()


def test_three_hundred_certificates_take_three_times_as_long_as_a_hundred() -> None:
    content = [CA.issue(f"leaf-{number}", f"host-{number}").pem for number in range(300)]

    def seconds(count: int) -> float:
        pem = b"".join(content[:count])
        begin = time.thread_time()
        assert len(parse_certificates(pem, "many.crt")) == count
        return time.thread_time() - begin

    seconds(1)  # the library is imported
    few, many = (min(seconds(count) for _ in range(3)) for count in (100, 300))
    assert many < 6 * few, (few, many)  # 20 ms and 60 ms


def test_hostile_pem_takes_no_longer_than_its_length() -> None:
    begin = time.thread_time()
    for line in (
        b"-----BEGIN A-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN ",
        b"-----END A-----\n",
        b"a:b\n",
    ):
        with pytest.raises(Malformed):
            parse_certificates(line * ((1 << 20) // len(line)), "x")
    assert time.thread_time() - begin < 5.0


def of_another_version(content: bytes) -> bytes:
    """Return a certificate that says it is of a version that there is not."""
    der = base64.b64decode(parsed(content).der).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)
    return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"


def test_a_certificate_of_a_version_that_there_is_not_is_malformed() -> None:
    with pytest.raises(Malformed):
        parsed(of_another_version(SERVER.pem))
    with pytest.raises(PemError, match="damaged"):
        read_certificates(of_another_version(SERVER.pem))


# The reader's own filter does not outlive the collection of tests, which turns warnings into errors.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_certificate_is_read_or_malformed_and_nothing_else(data: st.DataObject) -> None:
    der = bytearray(base64.b64decode(parsed(SERVER.pem).der))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(bytes(der)) + b"\n-----END CERTIFICATE-----\n"
    try:
        found = parsed(pem)
    except Malformed:
        return
    assert from_json(CertificateFact, json.loads(json.dumps(to_json(found)))) == found
    found.covers("10.0.0.1")
    issued_by(found, parsed(CA.pem))
    issued_by(parsed(SERVER.pem), found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text("-BEGIN CERTFAD\nab=", max_size=300).map(str.encode))
def test_any_bytes_are_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_certificates(content, "x")
