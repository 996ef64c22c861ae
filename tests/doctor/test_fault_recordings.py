"""Every bundled check was seen to fail on a real fault, was recorded there, and names it first when that is replayed.

A recording is made by the test of its fault in tests/integration/faults, by `check --record`, and never by hand:

    python tests/fixtures/record.py tests/integration/faults/test_etcd.py

What is expected of each in particular stands in tests/plugins.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import pytest
from support.instances import CHECKOUT

from kubedoctor import Check, Severity
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Report
from kubedoctor.plugins import Manager, bundled_points
from kubedoctor.testing import examine_recording

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
FAULTS = Path(__file__).parents[1] / "integration" / "faults"


def bundled() -> dict[str, Check]:
    manager = Manager()
    for point in bundled_points():
        manager.add(point.name, point.load, distribution="kubedoctor")
    return {check.id: check for check in manager.checks()}


CHECKS = bundled()
FILES = {path.name.removesuffix(".json.gz"): path for path in sorted(RECORDINGS.glob("*.json.gz"))}


@cache
def replayed(name: str) -> Report:
    """Return what all checks find in a recording; what it does not hold, since it was not asked, is unknown."""
    return examine_recording(FILES[name], *CHECKS.values())


def fault_of(name: str) -> str:
    """Return the check that a recording is named for, `host.swap` of `host.swap.planned`; empty for a healthy one."""
    return next((check for check in CHECKS if f"{name}.".startswith(f"{check}.")), "")


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_has_a_recording_of_its_fault_made_by_a_test(check: str) -> None:
    names = [name for name in FILES if fault_of(name) == check]
    assert names, f"no recording of {check}: make its fault in {FAULTS}, and record it"
    for name in names:
        found = {one.check for one in replayed(name).results if one.outcome is Outcome.FAILED}
        assert check in found


@pytest.mark.parametrize("name", [name for name in FILES if fault_of(name)])
def test_the_fault_is_named_first(name: str) -> None:
    report = replayed(name)
    cause, *others = report.causes
    assert cause.id == fault_of(name)
    assert not [one.id for one in others if one.severity is Severity.ERROR and one.id != cause.id]
    assert not [one for one in report.results if one.outcome is Outcome.CRASHED]


@pytest.mark.parametrize("name", [name for name in FILES if not fault_of(name)])
def test_what_was_well_is_found_well(name: str) -> None:
    assert name.startswith("healthy-")
    report = replayed(name)
    assert [one.findings for one in report.results if one.findings] == []
    assert [one for one in report.results if one.outcome is Outcome.CRASHED] == []
    assert [one for one in report.results if one.outcome is Outcome.PASSED]


@pytest.mark.parametrize("name", FILES)
def test_a_recording_holds_no_key_and_no_path_of_the_machine_it_was_made_on(name: str) -> None:
    content = gzip.decompress(FILES[name].read_bytes())
    for secret in (b"PRIVATE KEY", b"LS0tLS1CRUdJTiBFQyBQUklWQVRF", b"LS0tLS1CRUdJTiBQUklWQVRF", CHECKOUT):
        assert secret not in content


def test_what_is_said_to_follow_from_a_finding_is_a_check() -> None:
    from kubedoctor_certs.consequences import API, WORK

    named = {check for checks in WORK.values() for check in checks} | {*API}
    named |= {
        check
        for name in FILES
        for result in replayed(name).results
        for finding in result.findings
        for check in finding.explains
    }
    assert named <= CHECKS.keys()
