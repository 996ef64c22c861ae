"""Keys as facts: of a private key, the hash of its public half."""

from __future__ import annotations

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.errors import printable
from kubedoctor.host.files import read_file, stat_file
from kubedoctor.host.pem import Block, blocks, is_der
from kubedoctor.records import dataclass

MOST = 100
"""Keys of one file that are read: a service-account key file has one for each time it was rotated."""
_PUBLIC = ("PUBLIC KEY", "RSA PUBLIC KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyFact:
    """A public key, or the public half of a private one.

    `hash` is the SHA-256 of the DER SubjectPublicKeyInfo in hex, as `CertificateFact.key`; the `kid` of tokens is its
    bytes in base64. `mode` is the permission bits of the file.
    """

    hash: str
    algorithm: str  # RSA 2048, ECDSA P-256, Ed25519
    private: bool
    mode: int = 0


@fact("host.public-keys")
def public_keys(look: Look, path: str, root: int = 0) -> tuple[PublicKeyFact, ...]:  # noqa: ARG001 - asks no other fact
    """The keys of a PEM file, private, public or of certificates, in their order, at least one."""
    content = read_file(path, root=root)
    return parse_keys(content, printable(path), stat_file(path, root=root, follow=True).mode)


@fact("host.public-key", recorded=False)
def public_key(look: Look, path: str, root: int = 0) -> PublicKeyFact:
    """The key of a PEM file: the first private one, else the first of any kind, as components choose."""
    keys = look.get(public_keys, path, root)
    return next((key for key in keys if key.private), keys[0])


def parse_keys(content: bytes, what: str, mode: int = 0) -> tuple[PublicKeyFact, ...]:
    """Return the keys of a PEM file; raise Malformed, naming *what* and the first place that does not fit."""
    found = [block for block in blocks(content) if _is_key(block)]
    if not found:
        raise Malformed(f"{what} {_lack(content)}")
    if len(found) > MOST:
        raise Malformed(f"{what} has more than {MOST} keys")
    return tuple(_key(block, what, mode) for block in found)


def _is_key(block: Block) -> bool:
    return block.label.endswith("PRIVATE KEY") or block.label in _PUBLIC or block.label == "CERTIFICATE"


def _key(block: Block, what: str, mode: int) -> PublicKeyFact:
    from kubedoctor.host.x509 import read_certificates_key, read_private_key, read_public_key

    private = block.label.endswith("PRIVATE KEY")
    try:
        if block.label == "CERTIFICATE":
            hashed, algorithm = read_certificates_key(block.data or b"")
        else:
            hashed, algorithm = read_private_key(block.raw) if private else read_public_key(block.raw)
    except ValueError as problem:
        if str(problem) == "encrypted":
            raise Malformed(f"{what} has an encrypted key, and components cannot ask for a pass phrase") from None
        raise Malformed(f"{what} has a damaged key in line {block.line}") from None
    return PublicKeyFact(hash=hashed, algorithm=algorithm, private=private, mode=mode)


def _lack(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    return "holds DER, not PEM" if is_der(content) else "holds no key in PEM form"
