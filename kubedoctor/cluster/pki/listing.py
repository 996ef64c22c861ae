"""What is in a certificate directory, for people to look at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubedoctor.cluster.pki.authority import extension, is_ending, subject, utc_now
from kubedoctor.cluster.pki.pem import PemError, belong_together, read_certificates, read_key
from kubedoctor.cluster.pki.store import NotOurs, Store
from kubedoctor.records import dataclass

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One certificate file. `problem` tells what is wrong with it; then what could not be read is empty."""

    name: str
    file: str
    subject: str = ""
    issuer: str = ""
    sans: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()  # ca, server, client
    key: str = ""
    not_before: str = ""  # RFC 3339
    not_after: str = ""
    seconds_left: float | None = None
    ending: bool = False  # less than a fifth of its life is left: the next `up` renews it
    problem: str = ""


def list_certificates(directory: Path, now: datetime | None = None) -> tuple[Listed, ...]:
    """Return every *.crt of *directory*, authorities first, then by name; raise OSError when it cannot be read."""
    now = now or utc_now()
    store = Store(directory)
    names = sorted(path.name.removesuffix(".crt") for path in directory.iterdir() if path.name.endswith(".crt"))
    found = [_listed(store, name, now) for name in names]
    return tuple(sorted(found, key=lambda one: ("ca" not in one.usages and not one.name.endswith("-ca"), one.name)))


def _listed(store: Store, name: str, now: datetime) -> Listed:
    file = str(store.path(f"{name}.crt"))
    try:
        data = store.read(f"{name}.crt")
        certificate = read_certificates(data or b"")[0]
        extensions = certificate.extensions
    except (NotOurs, PemError) as problem:
        return Listed(name=name, file=file, problem=str(problem))
    except ValueError:
        return Listed(name=name, file=file, problem="has extensions that cannot be read")
    names = extension(extensions, x509.SubjectAlternativeName) or ()
    return Listed(
        name=name,
        file=file,
        subject=subject(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        sans=tuple(str(san.value) for san in names),
        usages=_usages(extensions),
        key=_key(certificate),
        not_before=_rfc3339(certificate.not_valid_before_utc),
        not_after=_rfc3339(certificate.not_valid_after_utc),
        seconds_left=(certificate.not_valid_after_utc - now).total_seconds(),
        ending=is_ending(certificate, now),
        problem=_problem(store, name, certificate, now),
    )


def _problem(store: Store, name: str, certificate: x509.Certificate, now: datetime) -> str:
    if certificate.not_valid_after_utc <= now:
        return "expired"
    if certificate.not_valid_before_utc > now:
        return "not valid yet"
    try:
        key = store.read(f"{name}.key")
        if key is None:
            return "has no key"
        return "" if belong_together(certificate, read_key(key, made_here=True)) else "the key is another one"
    except (NotOurs, PemError) as problem:
        return f"its key {problem}"


def _usages(extensions: x509.Extensions) -> tuple[str, ...]:
    constraints = extension(extensions, x509.BasicConstraints)
    purposes = extension(extensions, x509.ExtendedKeyUsage) or ()
    usages = ["ca"] if constraints is not None and constraints.ca else []
    usages += ["server"] if ExtendedKeyUsageOID.SERVER_AUTH in purposes else []
    usages += ["client"] if ExtendedKeyUsageOID.CLIENT_AUTH in purposes else []
    return tuple(usages)


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
