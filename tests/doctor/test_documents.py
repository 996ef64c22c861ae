"""Fingerprints stay, and a report has the form that is published."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from support.checks import MACHINE, passing

from kubedoctor import Finding, Severity, TargetKind
from kubedoctor.doctor.documents import fingerprint
from kubedoctor.doctor.judge import reported

TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # names of files need not be text


def test_a_fingerprint_is_the_same_in_every_release() -> None:
    assert fingerprint("etcd.port-taken", TargetKind.MACHINE, "etcd :2379") == "f3c277ea2e4a147c"


@given(TEXT, st.sampled_from(TargetKind), TEXT)
def test_a_fingerprint_is_16_digits(check: str, kind: TargetKind, subject: str) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(check, kind, subject))


@given(TEXT, TEXT, TEXT, st.sampled_from(Severity))
def test_only_the_subject_of_a_finding_changes_its_fingerprint(
    subject: str, message: str, other: str, severity: Severity
) -> None:
    check = passing("acme.one")
    one = reported(check, MACHINE, Finding(message=message, subject=subject))
    two = reported(check, MACHINE, Finding(message=other, subject=subject, severity=severity))
    assert one.fingerprint == two.fingerprint
    assert (one.severity, two.severity) == (Severity.ERROR, severity)
    changed = reported(check, MACHINE, Finding(message=message, subject=f"{subject}."))
    assert changed.fingerprint != one.fingerprint
