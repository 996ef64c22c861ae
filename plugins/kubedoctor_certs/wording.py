"""Times and certificates in words."""

from __future__ import annotations

from datetime import UTC, datetime

from kubedoctor import Evidence, host
from kubedoctor_certs.sources import Source

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


def moment(seconds: float) -> str:
    """Return a time as 2026-11-23 00:51 UTC."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "a time no calendar has"


def span(seconds: float) -> str:
    """Return a duration with one unit: 45 s, 12 min, 23 h, 340 d."""
    for unit, name, most in ((1, "s", 2 * MINUTE), (MINUTE, "min", 2 * HOUR), (HOUR, "h", 2 * DAY)):
        if seconds < most:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds // DAY)} d"


def short(fingerprint: str) -> str:
    """Return the beginning of a hash as openssl writes it."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, 16, 2)).upper()


def identity(one: host.CertificateFact) -> str:
    """Return what tells this certificate from another of the same name."""
    words = [f"`{one.subject}`"]
    if one.issuer != one.subject:
        words.append(f"issued by `{one.issuer}`")
    if one.authority_key_id and one.issuer != one.subject:
        words.append(f"issuer's key id {short(one.authority_key_id)}")
    if one.subject_key_id and one.is_ca:
        words.append(f"key id {short(one.subject_key_id)}")
    return ", ".join([*words, f"SHA-256 {short(one.fingerprint)}"])


def seen(source: Source, one: host.CertificateFact, expected: str = "") -> Evidence:
    """Return the evidence that a certificate stands somewhere."""
    return Evidence(source=str(source), observed=identity(one), expected=expected)
