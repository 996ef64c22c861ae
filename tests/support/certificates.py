"""Authorities and certificates as tests want them: of any dates, names and faults."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
"""When the tests take place, unless they say otherwise."""
DAY = 24 * 3600


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass(frozen=True)
class Issued:
    """A certificate with its key; it may issue others."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses it is for."""
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(str(one.value) for one in found)

    def write(self, directory: Path, name: str) -> tuple[str, str]:
        """Write NAME.crt and NAME.key; return their paths."""
        files = directory / f"{name}.crt", directory / f"{name}.key"
        directory.mkdir(parents=True, exist_ok=True)
        files[0].write_bytes(self.pem)
        files[1].write_bytes(self.key_pem)
        files[1].chmod(0o600)
        return str(files[0]), str(files[1])

    @classmethod
    def read(cls, directory: Path, name: str) -> Issued:
        """Return the one in NAME.crt and NAME.key."""
        certificate = x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), None)
        assert isinstance(key, Key)
        return cls(certificate, key)

    def issue(self, name: str, *sans: str, **wishes: object) -> Issued:
        return issue(name, *sans, by=self, **wishes)  # type: ignore[arg-type]


def authority(name: str = "kubernetes", *, by: Issued | None = None, days: float = 3650, **wishes: object) -> Issued:
    """An authority, of its own unless it is issued *by* another."""
    return issue(name, by=by, ca=True, days=days, usages=(), **wishes)  # type: ignore[arg-type]


def issue(
    name: str,
    *sans: str,
    by: Issued | None = None,
    key: Key | None = None,
    organizations: Iterable[str] = (),
    now: datetime | None = None,
    begins: float | None = None,
    days: float = 365,
    ca: bool = False,
    usages: Iterable[str] = ("server", "client"),
    identifiers: bool = True,
) -> Issued:
    """A certificate that begins and ends *begins* and *days* days from *now*; one that is over had a year."""
    if begins is None:
        begins = -1 if days > 0 else days - 365
    key = key or new_key()
    now = now or NOW
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if identifiers:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(own, critical=False).add_extension(above, critical=False)
    if sans:
        names = x509.SubjectAlternativeName([_name(one) for one in sans])
        builder = builder.add_extension(names, critical=False)
    purposes = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purposes[one] for one in usages]), critical=False)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, algorithm), key)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
