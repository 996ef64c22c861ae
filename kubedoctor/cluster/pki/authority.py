"""An authority: what signs, whom to trust for it, and what makes one unfit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubedoctor.cluster.pki.pem import PrivateKey, belong_together, certificates_pem, key_pem
from kubedoctor.components import Authority
from kubedoctor.records import dataclass

LIFETIME = timedelta(days=3650)
BACKDATE = timedelta(hours=1)  # clocks of containers, virtual machines and browsers lag; kubeadm and cfssl backdate too
RENEW_BELOW = 5  # renewed when less than a fifth of the life is left: 73 days of a leaf, 2 years of an authority
PREFIX = "kubedoctor-"

T = TypeVar("T", bound=x509.ExtensionType)

_ANY = x509.ObjectIdentifier("2.5.29.37.0")
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_NEEDED = {
    Authority.SERVER: (_SERVER,),
    Authority.CLIENT: (_CLIENT,),
    Authority.REQUEST_HEADER: (_CLIENT,),
    Authority.ETCD: (_SERVER, _CLIENT),
}


class UnfitError(ValueError):
    """A certificate cannot be the authority it should be; the message completes `<it> …`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A certificate with its key, and the certificates above it, nearest first."""

    certificate: x509.Certificate
    key: PrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def bundle(self) -> bytes:
        """What a peer trusts: the authority and its chain, as PEM."""
        return certificates_pem((self.certificate, *self.above))

    @property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """What goes along with a leaf, so that a peer who trusts the root alone finds its way."""
        return tuple(one for one in (self.certificate, *self.above) if one.issuer != one.subject)

    @property
    def not_after(self) -> datetime:
        """When the first of the chain ends."""
        return min(one.not_valid_after_utc for one in (self.certificate, *self.above))

    @property
    def made_here(self) -> bool:
        """Whether kubedoctor made it; it is then free to renew it."""
        names = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return not self.above and len(names) == 1 and str(names[0].value).startswith(PREFIX)

    def files(self) -> tuple[bytes, bytes]:
        """Return the content of the .crt and of the .key."""
        return self.bundle, key_pem(self.key)


def new_key(key_type: str) -> PrivateKey:
    """Return a fresh key: ECDSA P-256, or RSA 2048 for `rsa` (tens of milliseconds each)."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def authority_name(role: Authority, cluster: str) -> x509.Name:
    """Return the subject of an authority we make: each its own, so that logs tell which one a certificate is from."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{PREFIX}{cluster}-{role.value}")])


def make_signer(name: x509.Name, key: PrivateKey, now: datetime) -> Signer:
    """Return an authority of our own, signed by itself."""
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return Signer(certificate=builder.sign(key, hashes.SHA256()), key=key)


def assemble(certificates: list[x509.Certificate], key: PrivateKey) -> Signer:
    """Return the signer among *certificates* whose key *key* is, with its chain in order; raise UnfitError."""
    mine = next((one for one in certificates if belong_together(one, key)), None)
    if mine is None:
        raise UnfitError("does not belong to the key")
    others = [one for one in certificates if one != mine]
    above: list[x509.Certificate] = []
    last = mine
    while others and last.issuer != last.subject:
        issuer = next((one for one in others if issued_by(last, one)), None)
        if issuer is None:
            break
        others.remove(issuer)
        above.append(issuer)
        last = issuer
    if others:
        # Everything in the bundle is trusted, so what does not belong to the chain must not slip in.
        raise UnfitError(f"comes with `{subject(others[0])}`, which is not part of its chain")
    return Signer(certificate=mine, key=key, above=tuple(above))


def unfit(signer: Signer, role: Authority) -> str:
    """Return why *signer* cannot sign for *role*, apart from its dates; "" when it can."""
    for depth, one in enumerate((signer.certificate, *signer.above)):
        whose = "" if depth == 0 else f"has an issuer, `{subject(one)}`, that "
        if problem := _unfit(one, role, depth):
            return whose + problem
    return ""


def _unfit(certificate: x509.Certificate, role: Authority, depth: int) -> str:
    try:
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension) as problem:
        return f"has extensions that cannot be read ({problem})"
    constraints = extension(extensions, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "is not a CA (basicConstraints lacks CA:TRUE)"
    if constraints.path_length is not None and constraints.path_length < depth:
        return f"allows {constraints.path_length} authorities below it (pathlen), and there are {depth}"
    usage = extension(extensions, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "must not sign certificates (keyUsage lacks keyCertSign)"
    purposes = extension(extensions, x509.ExtendedKeyUsage)
    if purposes is not None and _ANY not in purposes and not all(need in purposes for need in _NEEDED[role]):
        words = " and ".join("serverAuth" if need == _SERVER else "clientAuth" for need in _NEEDED[role])
        return f"must not sign for this (extendedKeyUsage lacks {words})"
    weak = certificate.signature_hash_algorithm
    if certificate.issuer != certificate.subject and isinstance(weak, (hashes.SHA1, hashes.MD5)):
        return f"is signed with {weak.name}, which Kubernetes refuses"
    return ""


def unfit_now(signer: Signer, now: datetime) -> str:
    """Return why the dates of *signer* or of its chain forbid its use at *now*; "" when they don't."""
    for depth, one in enumerate((signer.certificate, *signer.above)):
        whose = "" if depth == 0 else f"has an issuer, `{subject(one)}`, that "
        if one.not_valid_after_utc <= now:
            return f"{whose}expired on {one.not_valid_after_utc:%Y-%m-%d}"
        if one.not_valid_before_utc > now:
            return f"{whose}is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def is_ending(certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether less than a fifth of its life is left."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (end - now) * RENEW_BELOW < end - begin


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether *issuer* really signed *certificate*."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def subject(certificate: x509.Certificate) -> str:
    """Return the subject as people write it: CN=…,O=…."""
    return certificate.subject.rfc4514_string() or "(no subject)"


def utc_now() -> datetime:
    """Return the time to the second, as certificates hold it."""
    return datetime.now(UTC).replace(microsecond=0)


def extension(extensions: x509.Extensions, kind: type[T]) -> T | None:
    """Return the extension of *kind*, None when there is none."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
