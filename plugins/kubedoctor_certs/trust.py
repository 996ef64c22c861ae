"""Whether an authority vouches for a certificate, as Go's crypto/x509 sees it; dates and names are other checks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubedoctor import host

_DEEPEST = 10
"""Certificates of a chain that are followed; real ones have three."""


class Verdict(StrEnum):
    """What became of a chain."""

    TRUSTED = "trusted"
    STRANGER = "stranger"  # no authority of the issuer's name is there
    OTHER_KEY = "other-key"  # one of that name is there, and its key did not sign
    NOT_AN_AUTHORITY = "not-an-authority"  # it signed, and must not
    WEAK = "weak"  # the signature is of a kind that Go refuses


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, with the last certificate that was reached and the one that should have vouched for it."""

    verdict: Verdict
    last: host.CertificateFact
    issuer: host.CertificateFact | None = None


def likeliest(signed: host.CertificateFact, authorities: Sequence[host.CertificateFact]) -> list[host.CertificateFact]:
    """Return those of the issuer's name, first those whose key has the identifier that the certificate names.

    A file may hold hundreds of one name; a signature takes 0.1 ms to verify.
    """
    wanted = signed.authority_key_id
    named = [one for one in authorities if one.subject == signed.issuer]
    return sorted(named, key=lambda one: bool(wanted) and one.subject_key_id != wanted)


def judge(chain: Sequence[host.CertificateFact], authorities: Sequence[host.CertificateFact]) -> Judgement:
    """Return whether one of *authorities* vouches for the first of *chain*, over the others of it."""
    anchors = {one.fingerprint for one in authorities}
    last, left = chain[0], list(chain[1:])
    for _ in range(_DEEPEST):
        if last.fingerprint in anchors:
            return Judgement(Verdict.TRUSTED, last, last)
        forbidden = None
        for one in likeliest(last, authorities):
            if not host.issued_by(last, one):
                continue
            if one.may_sign:
                return Judgement(Verdict.WEAK if last.is_weakly_signed else Verdict.TRUSTED, last, one)
            forbidden = forbidden or one
        if forbidden is not None:
            return Judgement(Verdict.NOT_AN_AUTHORITY, last, forbidden)
        above = next((one for one in left if one.may_sign and host.issued_by(last, one)), None)
        if above is None:
            break
        left.remove(above)
        last = above
    same = next((one for one in authorities if one.subject == last.issuer), None)
    return Judgement(Verdict.OTHER_KEY if same else Verdict.STRANGER, last, same)
