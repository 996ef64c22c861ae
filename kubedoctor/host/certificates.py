"""Certificates as facts: what is in them, and whether one signed another.

A certificate is public, so the whole of it is recorded: signatures can be verified wherever a recording is read.
"""

from __future__ import annotations

import ipaddress

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.errors import printable
from kubedoctor.host.files import read_file
from kubedoctor.host.pem import blocks, is_der
from kubedoctor.records import dataclass

MOST = 1000
"""Certificates of one file that are read: /etc/ssl/certs/ca-certificates.crt has 150."""
_LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_REFUSED = ("sha1", "md5", "md2")  # what Go's crypto/x509 no longer takes for a signature


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFact:
    """One certificate. Times are seconds since the epoch, hashes SHA-256 in hex, identifiers of keys hex.

    `server` and `client` say what it may be used for: both, when it says nothing of it. `key` is the hash of the
    public key (its DER SubjectPublicKeyInfo); empty, as is `key_type`, for one that cannot be read.
    """

    subject: str
    issuer: str
    common_name: str = ""
    organizations: tuple[str, ...] = ()
    serial: str  # hex
    not_before: int
    not_after: int
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()  # IP addresses
    is_ca: bool = False
    may_sign: bool = False  # it is a CA, and its key usage allows to sign certificates
    server: bool = True
    client: bool = True
    key: str = ""
    key_type: str = ""  # RSA 2048, ECDSA P-256, Ed25519
    signature: str = ""  # the algorithm: ecdsa-with-SHA256
    fingerprint: str
    subject_key_id: str = ""
    authority_key_id: str = ""
    problem: str = ""  # a part that could not be understood, then missing above
    der: str  # base64

    @property
    def sans(self) -> tuple[str, ...]:
        """The names and addresses it is for."""
        return (*self.dns_names, *self.addresses)

    @property
    def life(self) -> int:
        """Seconds from its beginning to its end."""
        return self.not_after - self.not_before

    @property
    def is_self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject == self.issuer

    @property
    def is_weakly_signed(self) -> bool:
        """Whether its signature is of a kind that Go refuses."""
        return self.signature.lower().startswith(_REFUSED) or "sha1" in self.signature.lower()

    def covers(self, host: str) -> bool:
        """Return whether a client that dials *host* accepts it, by the rules of Go: no common name, one `*` label."""
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return any(_matches(name, host) for name in self.dns_names)
        return str(address) in self.addresses


def _matches(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower(), host.lower().removesuffix(".")
    if not pattern.startswith("*."):
        return pattern == host
    label, dot, rest = host.partition(".")
    return bool(label and dot) and rest == pattern[2:]


@fact("host.certificates")
def certificates(look: Look, path: str, root: int = 0) -> tuple[CertificateFact, ...]:  # noqa: ARG001 - asks no other fact
    """The certificates of a PEM file in their order, at least one, *path* as seen from the root of process *root*."""
    return parse_certificates(read_file(path, root=root), printable(path))


def parse_certificates(content: bytes, what: str) -> tuple[CertificateFact, ...]:
    """Return the certificates of a PEM file; raise Malformed, naming *what* and the first place that does not fit."""
    found = [block for block in blocks(content) if block.label in _LABELS]
    if not found:
        raise Malformed(f"{what} {_lack(content)}")
    if len(found) > MOST:
        raise Malformed(f"{what} has more than {MOST} certificates")
    from kubedoctor.host.x509 import read_certificate

    result = []
    for block in found:
        try:
            result.append(read_certificate(block.data or b""))
        except ValueError:
            raise Malformed(f"{what} has a damaged certificate in line {block.line}") from None
    return tuple(result)


def _lack(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    if is_der(content):
        return "holds DER, not PEM"
    if any(block.label.endswith("PRIVATE KEY") for block in blocks(content)):
        return "holds a private key and no certificate"
    return "holds no certificate in PEM form"


def issued_by(certificate: CertificateFact, issuer: CertificateFact) -> bool:
    """Return whether the key of *issuer* really signed *certificate*, in whose name; dates and usages do not count."""
    if certificate.issuer != issuer.subject:
        return False
    from kubedoctor.host.x509 import is_signed_by

    return is_signed_by(certificate.der, issuer.der)
