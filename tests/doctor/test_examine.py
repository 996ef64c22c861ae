"""A run of checks into a report, and what the report comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checks import MACHINE, asking, cluster, fact_of, finding, passing, raising

from kubedoctor import Check, Denied, Phase, Severity, Target
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import ReportedFinding, Result
from kubedoctor.doctor.examine import counts, examine
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.verdict import blind_targets, could_tell, exit_code, is_failing, is_ok
from kubedoctor.errors import ExitCode
from kubedoctor.jsonform import from_json, to_json


def test_a_report_has_targets_time_counts_and_results_in_order() -> None:
    checks = (passing("acme.a"), finding("acme.b", of=("etcd",)), raising("acme.c", Denied("needs root")))
    report = examine(checks, (MACHINE, cluster("one", "etcd", "etcd")), SharedLook(now=0.5)).report
    assert [(target.id, target.components) for target in report.targets] == [("machine", ()), ("one", ("etcd",))]
    assert [(result.check, result.target) for result in report.results] == [
        ("acme.a", "machine"),
        ("acme.c", "machine"),
        ("acme.b", "one"),
    ]
    assert report.started == "1970-01-01T00:00:00.500Z"
    assert report.counts == {
        "passed": 1,
        "failed": 1,
        "ignored": 0,
        "skipped": 0,
        "not_applicable": 0,
        "unknown": 1,
        "timed_out": 0,
        "crashed": 0,
    }
    assert not report.ok
    assert not report.timings
    assert from_json(type(report), to_json(report)) == report


def test_only_what_is_selected_runs_with_what_it_builds_on() -> None:
    checks = (passing("acme.a", requires=("acme.b",)), passing("acme.b"), passing("acme.c"))
    report = examine(checks, (MACHINE,), SharedLook(), selected=["acme.a"]).report
    assert [result.check for result in report.results] == ["acme.a", "acme.b"]
    nothing = examine(checks, (MACHINE,), SharedLook(), selected=[]).report
    assert (nothing.results, nothing.ok) == ((), False)


def test_a_phase_leaves_the_others_to_be_seen_as_not_applicable() -> None:
    checks = (passing("acme.a", phases=(Phase.PREFLIGHT,)), passing("acme.b"))
    report = examine(checks, (MACHINE,), SharedLook(), phases=(Phase.RUNNING,)).report
    assert [(one.outcome, one.reason) for one in report.results] == [
        (Outcome.NOT_APPLICABLE, "it is for preflight"),
        (Outcome.PASSED, ""),
    ]


def test_an_ignored_finding_stays_and_does_not_count_but_hides_what_builds_on_it() -> None:
    checks = (finding("acme.a"), passing("acme.b", requires=("acme.a",)), passing("acme.c"))
    report = examine(checks, (MACHINE,), SharedLook(), ignored={"acme.a", "acme.c"}).report
    assert [one.outcome for one in report.results] == [Outcome.IGNORED, Outcome.SKIPPED, Outcome.PASSED]
    assert report.results[0].findings
    assert report.ok


def test_prerequisites_that_cannot_be_are_told_and_the_checks_run() -> None:
    told: list[tuple[str, str]] = []
    checks: Sequence[Check] = (
        passing("acme.a", requires=("acme.b",)),
        passing("acme.b", requires=("acme.a",)),
        passing("acme.c", requires=("acme.none",)),
    )
    report = examine(checks, (MACHINE,), SharedLook(), report_problem=lambda *words: told.append(words)).report
    assert {one.outcome for one in report.results} == {Outcome.PASSED}
    assert sorted(name for name, _ in told) == ["acme.a", "acme.b", "acme.c"]


def test_timings_are_of_facts_the_slowest_first() -> None:
    quick, slow = fact_of("acme.quick", lambda _: 1), fact_of("acme.slow", lambda _: sum(range(300_000)))
    checks = (asking("acme.a", quick), asking("acme.b", slow))
    report = examine(checks, (MACHINE,), SharedLook(), timings=True).report
    assert list(report.timings) == ["acme.slow()", "acme.quick()"]
    assert all(seconds >= 0 for seconds in report.timings.values())


# --- what it comes to -------------------------------------------------------------------------------------------------


def result(
    outcome: Outcome, *severities: Severity, severity: Severity = Severity.ERROR, target: Target = MACHINE
) -> Result:
    findings = tuple(ReportedFinding(message="x", subject="x", severity=one) for one in severities)
    return Result(check="acme.x", target=target.id, title="x", outcome=outcome, severity=severity, findings=findings)


PASSED, UNKNOWN, CRASHED = (result(one) for one in (Outcome.PASSED, Outcome.UNKNOWN, Outcome.CRASHED))
ERROR = result(Outcome.FAILED, Severity.ERROR)
WARNING = result(Outcome.FAILED, Severity.WARNING)
IGNORED = result(Outcome.IGNORED, Severity.ERROR)
NOT_APPLICABLE = result(Outcome.NOT_APPLICABLE)
ELSEWHERE = result(Outcome.UNKNOWN, target=cluster("one"))
MILD = result(Outcome.PASSED, severity=Severity.WARNING)


@pytest.mark.parametrize(
    ("results", "fail_on", "strict", "status"),
    [
        ([PASSED], "error", False, ExitCode.OK),
        ([PASSED, NOT_APPLICABLE, IGNORED], "error", True, ExitCode.OK),
        ([PASSED, ERROR], "error", False, ExitCode.NOT_WELL),
        ([PASSED, ERROR], None, False, ExitCode.OK),
        ([PASSED, WARNING], "error", False, ExitCode.OK),
        ([PASSED, WARNING], "warning", False, ExitCode.NOT_WELL),
        ([PASSED, result(Outcome.FAILED, Severity.INFO)], "warning", False, ExitCode.OK),
        ([PASSED, result(Outcome.FAILED, Severity.INFO)], "info", False, ExitCode.NOT_WELL),
        ([PASSED, UNKNOWN], "error", False, ExitCode.OK),
        ([PASSED, UNKNOWN], "error", True, ExitCode.CANNOT_TELL),
        ([PASSED, result(Outcome.TIMED_OUT)], "error", True, ExitCode.CANNOT_TELL),
        ([PASSED, CRASHED], "error", False, ExitCode.DEFECT),
        ([ERROR, CRASHED, UNKNOWN], "error", True, ExitCode.NOT_WELL),
        ([UNKNOWN], "error", False, ExitCode.CANNOT_TELL),
        ([UNKNOWN, MILD], "error", False, ExitCode.CANNOT_TELL),  # no check of errors could look
        ([MILD], "error", False, ExitCode.OK),
        ([PASSED, ELSEWHERE], "error", False, ExitCode.CANNOT_TELL),
        ([UNKNOWN, ERROR], "error", False, ExitCode.NOT_WELL),
        ([NOT_APPLICABLE], "error", False, ExitCode.CANNOT_TELL),
        ([], "error", False, ExitCode.CANNOT_TELL),
        ([], None, False, ExitCode.CANNOT_TELL),
    ],
)
def test_the_exit_status(results: list[Result], fail_on: str | None, strict: bool, status: ExitCode) -> None:
    assert exit_code(results, Severity(fail_on) if fail_on else None, strict=strict) == status


def test_a_target_that_no_check_could_look_at_is_named() -> None:
    assert blind_targets([PASSED, ELSEWHERE]) == ["one"]
    assert blind_targets([NOT_APPLICABLE, result(Outcome.SKIPPED, target=cluster("one"))]) == []


RESULTS = st.lists(
    st.builds(
        result,
        st.sampled_from(Outcome),
        st.sampled_from(Severity),
        severity=st.sampled_from(Severity),
        target=st.sampled_from([MACHINE, cluster("one")]),
    ),
    max_size=6,
)


@given(RESULTS, st.none() | st.sampled_from(Severity))
def test_ok_is_what_the_exit_status_says(results: list[Result], fail_on: Severity | None) -> None:
    crashed = any(one.outcome is Outcome.CRASHED for one in results)
    assert is_ok(results, fail_on) == (exit_code(results, fail_on) == ExitCode.OK) or crashed
    assert is_ok(results, fail_on) == (could_tell(results) and not is_failing(results, fail_on))
    assert sum(counts(results).values()) == len(results)


@given(RESULTS)
def test_failing_on_milder_things_never_makes_it_better(results: list[Result]) -> None:
    statuses = [exit_code(results, one) for one in (None, *Severity)]
    assert all(later == ExitCode.NOT_WELL or later == earlier for earlier, later in pairwise(statuses))


def test_what_runs_here_and_was_not_found_out_is_never_well() -> None:
    unseen = replace(MACHINE, unseen=True)
    report = examine([passing("a.b")], [unseen], SharedLook()).report
    assert (report.counts["passed"], report.ok, report.targets[0].unseen) == (1, False, True)
    assert exit_code(report.results, Severity.ERROR, unseen=True) == ExitCode.CANNOT_TELL
    assert exit_code([ERROR], Severity.ERROR, unseen=True) == ExitCode.NOT_WELL
