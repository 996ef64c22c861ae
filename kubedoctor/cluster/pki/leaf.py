"""Leaf certificates: made from what a component declares, and whether the one on disk still is what it declares."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubedoctor.cluster.pki.authority import BACKDATE, Signer, extension, is_ending, issued_by, subject
from kubedoctor.cluster.pki.pem import PrivateKey, belong_together
from kubedoctor.components import Certificate
from kubedoctor.errors import ConfigError, PlanError

LIFETIME = timedelta(days=365)

# As Go's x509 takes them: the underscore is no part of host names, but common outside the web.
_DNS_NAME = re.compile(r"(\*\.)?[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?)*")
_COMMON_NAME_LIMIT = 64  # ub-common-name of RFC 5280

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def make_leaf(wanted: Certificate, signer: Signer, key: PrivateKey, now: datetime) -> x509.Certificate:
    """Return a certificate as *wanted* for *key*; it never lives longer than what signed it."""
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(wanted))
        .issuer_name(signer.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATE, signer.certificate.not_valid_before_utc))
        .not_valid_after(_end(signer, now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(rsa_key=isinstance(key, rsa.RSAPrivateKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(wanted)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority_key(signer.certificate), critical=False)
    )
    if wanted.sans:
        names = [_general_name(name) for name in alternative_names(wanted)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer.key, hashes.SHA256())


def why_renew(
    chain: list[x509.Certificate], key: PrivateKey, wanted: Certificate, signer: Signer, key_type: str, now: datetime
) -> str:
    """Return why the leaf at the head of *chain* has to be made anew; "" when it is valid and as *wanted*."""
    leaf = chain[0]
    if not belong_together(leaf, key):
        return "the key is not that of the certificate"
    if leaf.not_valid_after_utc <= now:
        return f"it expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
    if leaf.not_valid_before_utc > now:
        return f"it is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: the clock went back"
    if not issued_by(leaf, signer.certificate):
        return f"it is not signed by `{subject(signer.certificate)}`"
    if is_ending(leaf, now) and _end(signer, now) > leaf.not_valid_after_utc:
        return f"it expires in {(leaf.not_valid_after_utc - now).days} days"
    if tuple(chain[1:]) != signer.intermediates:
        return "the chain to its issuer changed"
    return _mismatch(leaf, key, wanted, key_type)


def _mismatch(leaf: x509.Certificate, key: PrivateKey, wanted: Certificate, key_type: str) -> str:
    try:
        found = described(leaf, wanted)
    except ValueError:
        return "it cannot be read"
    if found.common_name != wanted.common_name or sorted(found.organizations) != sorted(wanted.organizations):
        return f"it is for `{subject(leaf)}`"
    if missing := [name for name in alternative_names(wanted) if name not in found.sans]:
        return f"it lacks {', '.join(missing)}"
    if (found.server, found.client) != (wanted.server, wanted.client):
        return "its usages differ"
    if key_type_of(key) != key_type:
        return f"its key is {key_type_of(key).upper()}"
    return ""


def described(leaf: x509.Certificate, like: Certificate) -> Certificate:
    """Return what *leaf* would be declared as; name and authority are those of *like*. Raise ValueError."""
    extensions = leaf.extensions
    purposes = extension(extensions, x509.ExtendedKeyUsage) or ()
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        name=like.name,
        authority=like.authority,
        common_name=str(names[0].value) if names else "",
        organizations=tuple(str(o.value) for o in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
        sans=_names_in(extension(extensions, x509.SubjectAlternativeName)),
        server=ExtendedKeyUsageOID.SERVER_AUTH in purposes,
        client=ExtendedKeyUsageOID.CLIENT_AUTH in purposes,
    )


def alternative_names(wanted: Certificate) -> tuple[str, ...]:
    """Return the names of *wanted* in their one form, each once; raise ConfigError for one that is none."""
    return tuple(dict.fromkeys(str(_parsed(name, wanted)) for name in wanted.sans))


def key_type_of(key: PrivateKey) -> str:
    """Return `rsa` or `ecdsa`, as the configuration says it."""
    return "ecdsa" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa"


def _parsed(name: str, wanted: Certificate) -> Address | str:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    bare = name.rstrip(".").lower()
    if len(bare) > 253 or not _DNS_NAME.fullmatch(bare):
        raise ConfigError(
            f"`{name}` is neither an address nor a host name, so certificate {wanted.name} cannot be issued for it",
            hint="write international names in their xn-- form",
        )
    return bare


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_in(names: x509.SubjectAlternativeName | None) -> tuple[str, ...]:
    if names is None:
        return ()
    found = (str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress)))
    return tuple(found)


def _subject(wanted: Certificate) -> x509.Name:
    if not 0 < len(wanted.common_name) <= _COMMON_NAME_LIMIT:
        raise PlanError(
            f"certificate {wanted.name} cannot be for `{wanted.common_name}`: a common name has 1 to"
            f" {_COMMON_NAME_LIMIT} characters",
            hint="a node's certificate holds its name: give the node a shorter one",
        )
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in wanted.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name)])


def _end(signer: Signer, now: datetime) -> datetime:
    return min(now + LIFETIME, signer.not_after)


def _key_usage(*, rsa_key: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=rsa_key,  # TLS 1.2 without forward secrecy encrypts to the key, which only RSA can
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(wanted: Certificate) -> list[x509.ObjectIdentifier]:
    purposes = []
    if wanted.server:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if wanted.client:
        purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    if not purposes:
        raise PlanError(f"certificate {wanted.name} is for neither a server nor a client")
    return purposes


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = extension(issuer.extensions, x509.SubjectKeyIdentifier)
    if identifier is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    public = issuer.public_key()
    assert isinstance(public, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))  # noqa: S101 - `pem.read_key` takes no other
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
