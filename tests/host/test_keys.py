"""Keys as facts: the hash of the public half, whatever form the key has, and never more."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import Key, authority, issue, new_key

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Malformed
from kubedoctor.host.certificates import parse_certificates
from kubedoctor.host.keys import parse_keys, public_key, public_keys
from kubedoctor.jsonform import to_json

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP384R1())
FORMS = [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]


def hash_of(key: Key) -> str:
    return hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@pytest.mark.parametrize(
    ("key", "form", "algorithm"),
    [
        (RSA, PrivateFormat.PKCS8, "RSA 2048"),
        (RSA, PrivateFormat.TraditionalOpenSSL, "RSA 2048"),
        (EC, PrivateFormat.PKCS8, "ECDSA P-384"),
        (EC, PrivateFormat.TraditionalOpenSSL, "ECDSA P-384"),
        (ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, "Ed25519"),
    ],
)
def test_a_private_key_becomes_the_hash_of_its_public_half(key: Key, form: PrivateFormat, algorithm: str) -> None:
    pem = key.private_bytes(Encoding.PEM, form, NoEncryption())
    (found,) = parse_keys(pem, "x.key")
    assert (found.hash, found.algorithm, found.private) == (hash_of(key), algorithm, True)


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
def test_a_public_key_has_the_same_hash(form: PublicFormat) -> None:
    (found,) = parse_keys(RSA.public_key().public_bytes(Encoding.PEM, form), "x.pub")
    assert (found.hash, found.private) == (hash_of(RSA), False)


def test_the_key_of_a_certificate_has_the_hash_of_the_certificate(tmp_path: Path) -> None:
    ca = authority()
    assert parse_keys(ca.pem, "x")[0].hash == parse_certificates(ca.pem, "x")[0].key == hash_of(ca.key)


def test_the_private_key_of_a_file_is_its_key_and_all_keys_can_be_had(tmp_path: Path) -> None:
    leaf, other = issue("system:node:a"), new_key()
    file = tmp_path / "kubelet-client-current.pem"
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    file.write_bytes(leaf.pem + parameters + leaf.key_pem + issue("x", key=other).public_pem)
    file.chmod(0o640)
    look = SharedLook()
    assert [(one.hash, one.private) for one in look.get(public_keys, str(file))] == [
        (hash_of(leaf.key), False),
        (hash_of(leaf.key), True),
        (hash_of(other), False),
    ]
    chosen = look.get(public_key, str(file), 0)
    assert (chosen.private, chosen.mode) == (True, 0o640)


def test_nothing_of_a_private_key_is_in_the_fact() -> None:
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    written = json.dumps(to_json(parse_keys(pem, "x.key")))
    assert not any(line.decode() in written for line in pem.splitlines() if len(line) > 20)
    assert str(RSA.private_numbers().p) not in written


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"x", "holds no key in PEM form"),
        (RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), "holds DER, not PEM"),
        (b"\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has a damaged key in line 2"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "has a damaged key in line 1"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has a damaged key in line 1"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "has a damaged key in line 1",
        ),
        (issue("x").public_pem * 101, "has more than 100 keys"),
    ],
)
def test_what_is_no_key_is_malformed(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_keys(content, "x.key")
    assert caught.value.reason == f"x.key {reason}"


@pytest.mark.parametrize("form", FORMS)
def test_an_encrypted_key_is_said_to_be_encrypted(form: PrivateFormat) -> None:
    pem = RSA.private_bytes(Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))
    with pytest.raises(Malformed, match=r"^x.key has an encrypted key"):
        parse_keys(pem, "x.key")


def test_rsa_keys_are_read_fast() -> None:
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    parse_keys(pem, "warm")
    begin = time.thread_time()
    parse_keys(pem * 100, "x.key")
    assert time.thread_time() - begin < 1.0  # with the arithmetic checked it would be 6 s


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_key_is_read_or_malformed_and_nothing_else(data: st.DataObject) -> None:
    key: Key = RSA if data.draw(st.booleans()) else EC
    der = bytearray(key.private_bytes(Encoding.DER, data.draw(st.sampled_from(FORMS)), NoEncryption()))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    body = base64.encodebytes(bytes(der))
    label = data.draw(st.sampled_from([b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"PUBLIC KEY"]))
    said = "x.key has a"
    try:
        parse_keys(b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, body, label), "x.key")
    except Malformed as problem:
        said = problem.reason
    assert said.startswith("x.key has a")
