"""X.509 and keys by the library `cryptography`, which only this module of the host imports: it costs 60 ms."""

from __future__ import annotations

import base64
import hashlib
import warnings
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubedoctor.host.certificates import CertificateFact
from kubedoctor.host.errors import printable

# Odd certificates of others are none of the reader's business on stderr.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning, module=__name__.replace(".", r"\."))

_T = TypeVar("_T", bound=x509.ExtensionType)
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp224r1": "P-224"}
_ANY = x509.ObjectIdentifier("2.5.29.37.0")
_NAMES = 1000  # alternative names that are kept of one certificate
# What the library raises for bytes that are no certificate, deep inside the attributes too.
_UNREADABLE = (
    *(ValueError, TypeError, OverflowError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)


def read_certificate(der: bytes) -> CertificateFact:
    """Return what the certificate says; raise ValueError when it is none."""
    try:
        return _certificate(x509.load_der_x509_certificate(der), der)
    except _UNREADABLE as problem:
        raise ValueError(str(problem)) from None


def _certificate(certificate: x509.Certificate, der: bytes) -> CertificateFact:
    problem, extensions = "", None
    try:
        extensions = certificate.extensions
    except _UNREADABLE as error:
        problem = f"its extensions cannot be read: {printable(str(error))}"
    names = _get(extensions, x509.SubjectAlternativeName)
    constraints = _get(extensions, x509.BasicConstraints)
    usage = _get(extensions, x509.KeyUsage)
    purposes = _get(extensions, x509.ExtendedKeyUsage)
    own, above = _get(extensions, x509.SubjectKeyIdentifier), _get(extensions, x509.AuthorityKeyIdentifier)
    is_ca = constraints is not None and constraints.ca
    key, key_type = _public_key(certificate)
    return CertificateFact(
        subject=_text(certificate.subject),
        issuer=_text(certificate.issuer),
        common_name=", ".join(_values(certificate.subject, NameOID.COMMON_NAME)[:1]),
        organizations=_values(certificate.subject, NameOID.ORGANIZATION_NAME),
        serial=f"{certificate.serial_number:x}",
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
        dns_names=() if names is None else tuple(map(printable, names.get_values_for_type(x509.DNSName)[:_NAMES])),
        addresses=() if names is None else tuple(map(str, names.get_values_for_type(x509.IPAddress)[:_NAMES])),
        is_ca=is_ca,
        may_sign=is_ca and (usage is None or usage.key_cert_sign),
        server=_allows(purposes, ExtendedKeyUsageOID.SERVER_AUTH),
        client=_allows(purposes, ExtendedKeyUsageOID.CLIENT_AUTH),
        key=key,
        key_type=key_type,
        signature=printable(certificate.signature_algorithm_oid._name),  # noqa: SLF001 - the library has no other way
        fingerprint=hashlib.sha256(der).hexdigest(),
        subject_key_id="" if own is None else own.digest.hex(),
        authority_key_id="" if above is None or above.key_identifier is None else above.key_identifier.hex(),
        problem=problem,
        der=base64.b64encode(der).decode(),
    )


def _get(extensions: x509.Extensions | None, kind: type[_T]) -> _T | None:
    if extensions is None:
        return None
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _allows(purposes: x509.ExtendedKeyUsage | None, purpose: x509.ObjectIdentifier) -> bool:
    return purposes is None or purpose in purposes or _ANY in purposes


def _text(name: x509.Name) -> str:
    return printable(name.rfc4514_string())


def _values(name: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    found = (attribute.value for attribute in name.get_attributes_for_oid(kind))
    return tuple(printable(value if isinstance(value, str) else value.hex()) for value in found)


def _public_key(certificate: x509.Certificate) -> tuple[str, str]:
    try:
        return described(certificate.public_key())
    except _UNREADABLE:
        return "", ""


def described(key: object) -> tuple[str, str]:
    """Return hash and type of a public key; raise ValueError for a kind that has no DER form."""
    if not isinstance(
        key,
        rsa.RSAPublicKey
        | ec.EllipticCurvePublicKey
        | ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey
        | dsa.DSAPublicKey,
    ):
        raise ValueError("a key of an unusual kind")  # noqa: TRY004 - it is foreign data that does not fit
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest(), _type(key)


def _type(key: object) -> str:
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return "DSA"


def read_certificates_key(der: bytes) -> tuple[str, str]:
    """Return hash and type of the key in a certificate; raise ValueError."""
    try:
        return described(x509.load_der_x509_certificate(der).public_key())
    except _UNREADABLE:
        raise ValueError("damaged") from None


def read_private_key(pem: bytes) -> tuple[str, str]:
    """Return hash and type of the public half of a private key; raise ValueError, with `encrypted` when it is.

    The arithmetic of an RSA key is not checked, which takes 60 ms each: nothing is ever signed with it here.
    """
    try:
        key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        return described(key.public_key())  # type: ignore[union-attr, unused-ignore]  # X25519 has one too
    except TypeError:
        raise ValueError("encrypted") from None
    except (*_UNREADABLE, AttributeError):
        raise ValueError("damaged") from None


def read_public_key(pem: bytes) -> tuple[str, str]:
    """Return hash and type of a public key; raise ValueError."""
    try:
        return described(serialization.load_pem_public_key(pem))
    except _UNREADABLE:
        raise ValueError("damaged") from None


@lru_cache(maxsize=4096)
def is_signed_by(certificate: str, issuer: str) -> bool:
    """Return whether *issuer* signed *certificate*, both DER in base64; names must match, dates do not count."""
    try:
        _loaded(certificate).verify_directly_issued_by(_loaded(issuer))
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


@lru_cache(maxsize=512)
def _loaded(der: str) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(der))
