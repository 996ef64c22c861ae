"""Certificates and private keys in and out of PEM files, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# openssl writes EC PARAMETERS before a key, others write text between blocks: what matters is picked out by its label.
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")  # what Go's TLS can do


class PemError(ValueError):
    """A file does not hold what it should; the message completes `<file> …`."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file in their order, at least one; raise PemError."""
    blocks = [match for match in _BLOCK.finditer(data) if match[1] in (b"CERTIFICATE", b"X509 CERTIFICATE")]
    if not blocks:
        raise _missing("certificate", data)
    try:
        return [x509.load_pem_x509_certificate(match[0] + b"\n") for match in blocks]
    except (ValueError, x509.InvalidVersion):
        raise PemError("holds a damaged certificate") from None


def read_key(data: bytes, *, made_here: bool = False) -> PrivateKey:
    """Return the private key of a PEM file in PKCS#1, PKCS#8 or SEC 1 form; raise PemError.

    The arithmetic of an RSA key takes 60 ms to check: not done for one *made_here*.
    """
    block = next((match[0] for match in _BLOCK.finditer(data) if match[1].endswith(b"PRIVATE KEY")), None)
    if block is None:
        raise _missing("private key", data)
    try:
        key = serialization.load_pem_private_key(block + b"\n", None, unsafe_skip_rsa_key_validation=made_here)
    except TypeError:
        raise PemError(
            "is encrypted, and components cannot ask for a pass phrase",
            hint="write it without one: openssl pkey -in KEY -out PLAIN-KEY",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise PemError("holds a damaged private key") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < 2048:
            raise PemError(f"holds an RSA key of {key.key_size} bits; at least 2048 are needed")
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in _CURVES:
            raise PemError(f"holds an EC key on {key.curve.name}; TLS needs P-256, P-384 or P-521")
        return key
    raise PemError("holds a key that is neither RSA nor EC")


def _missing(what: str, data: bytes) -> PemError:
    labels = {match[1] for match in _BLOCK.finditer(data)}
    if not data.strip():
        return PemError("is empty")
    if what == "certificate" and any(label.endswith(b"PRIVATE KEY") for label in labels):
        return PemError("holds a private key and no certificate", hint="the certificate comes first: CERT,KEY")
    if what == "private key" and b"CERTIFICATE" in labels:
        return PemError("holds a certificate and no private key", hint="the key comes second: CERT,KEY")
    if data[:1] == b"\x30":
        return PemError(
            f"holds no {what} in PEM form", hint="turn DER into PEM with `openssl x509` or `openssl pkey -inform der`"
        )
    return PemError(f"holds no {what} in PEM form")


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return *certificates* as one PEM file."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_pem(key: PrivateKey) -> bytes:
    """Return *key* as PKCS#8, which Go, OpenSSL and Java all read."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: PrivateKey) -> bytes:
    """Return the public half of *key* in PKIX form."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def belong_together(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Return whether *key* is the private half of *certificate*'s key."""
    public = certificate.public_key()
    return isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)) and public == key.public_key()
