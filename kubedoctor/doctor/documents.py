"""What a run of the doctor found: the Report, which every output format is written from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field

from kubedoctor.checks import Evidence, Fix, Outcome, Severity
from kubedoctor.records import dataclass
from kubedoctor.targets import TargetKind

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFinding:
    """A finding with the severity that counts and its fingerprint; `explains` are checks whose findings follow."""

    message: str
    subject: str
    severity: Severity
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    fingerprint: str = ""
    explains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one check on one target; `reason` says why it could not look, was skipped, or did not apply."""

    check: str
    target: str
    title: str
    outcome: Outcome
    severity: Severity
    seconds: float = 0.0
    reason: str = ""
    findings: tuple[ReportedFinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedTarget:
    """What was looked at. `unseen`, of the machine: it could not be told what runs there at all."""

    id: str
    kind: TargetKind
    title: str
    components: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unseen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A finding from which others follow, or none; `explains` are their fingerprints."""

    id: str
    target: str
    title: str
    message: str
    severity: Severity
    confidence: float = 1.0
    explains: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run. `ok`: nothing at or above `--fail-on`, on each target a check of errors could look, and all are seen."""

    targets: tuple[ReportedTarget, ...]
    started: str  # RFC 3339, UTC
    seconds: float
    ok: bool
    counts: Mapping[str, int]  # by outcome, in the words of `Outcome`, with `_` for `-`
    causes: tuple[Cause, ...] = ()
    results: tuple[Result, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds per fact, with --timings
    problems: tuple[str, ...] = ()  # of plugins: what had to be left out, and why
    schema_version: int = SCHEMA_VERSION
    kind: str = "Report"


def fingerprint(check: str, kind: TargetKind, subject: str) -> str:
    """Return what stays the same when the same thing is found again: 16 hexadecimal digits."""
    words = f"{check}\0{kind.value}\0{subject}".encode(errors="surrogatepass")  # names of files need not be text
    return hashlib.sha256(words).hexdigest()[:16]


def skipped_because(check: str) -> str:
    """Return the reason of a result that was skipped since *check* failed."""
    return f"{check} failed"


def failed_before(result: Result) -> str:
    """Return the check whose failure made this one pointless; empty when it was not skipped."""
    return result.reason.removesuffix(" failed") if result.outcome is Outcome.SKIPPED else ""
