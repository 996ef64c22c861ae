"""Which findings are told first, and what is told to follow from them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import Context, Finding, Fix, Severity, Target, TargetKind, check
from kubedoctor.checks import Outcome
from kubedoctor.doctor.causes import causes
from kubedoctor.doctor.documents import ReportedFinding, Result, skipped_because
from kubedoctor.doctor.examine import examine
from kubedoctor.doctor.look import SharedLook

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def failed(name: str, *explains: str, severity: Severity = ERROR, target: str = "local", **changes: Any) -> Result:
    found = ReportedFinding(
        message=f"{name} is found", subject="it", severity=severity, fingerprint=f"print of {name}", explains=explains
    )
    return Result(
        check=name,
        target=target,
        title=f"{name} is well",
        severity=severity,
        **{"outcome": Outcome.FAILED, "findings": (found,), **changes},
    )


def skipped(name: str, root: str, target: str = "local") -> Result:
    return Result(
        check=name,
        target=target,
        title=name,
        severity=ERROR,
        outcome=Outcome.SKIPPED,
        reason=skipped_because(root),
    )


def told(*results: Result) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.id, one.explains) for one in causes(results)]


def test_a_finding_that_nothing_explains_is_its_own_cause() -> None:
    fix = Fix(summary="mend it")
    finding = ReportedFinding(message="m", subject="s", severity=WARNING, fixes=(fix,), fingerprint="f")
    (cause,) = causes([failed("acme.one", findings=(finding,))])
    assert (cause.id, cause.target, cause.message, cause.severity) == ("acme.one", "local", "m", WARNING)
    assert (cause.fixes, cause.explains, cause.title) == ((fix,), (), "acme.one is well")


def test_what_follows_is_no_cause_and_is_named_by_its_fingerprint() -> None:
    assert told(failed("acme.symptom"), failed("acme.root", "acme.symptom")) == [
        ("acme.root", ("print of acme.symptom",))
    ]


def test_what_follows_from_what_follows_belongs_to_the_root() -> None:
    chain = (failed("acme.c"), failed("acme.b", "acme.c"), failed("acme.a", "acme.b"))
    assert told(*chain) == [("acme.a", ("print of acme.b", "print of acme.c"))]


def test_findings_on_another_target_are_not_explained() -> None:
    found = told(failed("acme.root", "acme.symptom"), failed("acme.symptom", target="other"))
    assert found == [("acme.root", ()), ("acme.symptom", ())]


def test_of_two_that_explain_each_other_the_first_is_the_cause() -> None:
    assert told(failed("acme.a", "acme.b"), failed("acme.b", "acme.a")) == [("acme.a", ("print of acme.b",))]


def test_a_check_does_not_explain_itself_away() -> None:
    assert told(failed("acme.a", "acme.a")) == [("acme.a", ())]


def test_errors_come_first_then_what_most_follows_from() -> None:
    found = told(
        failed("acme.warning", severity=WARNING),
        failed("acme.lonely"),
        failed("acme.blocking"),
        skipped("acme.pointless", "acme.blocking"),
        skipped("acme.pointless-too", "acme.blocking"),
        failed("acme.root", "acme.symptom"),
        failed("acme.symptom"),
    )
    assert [name for name, _ in found] == ["acme.blocking", "acme.root", "acme.lonely", "acme.warning"]


def test_a_warning_from_which_an_error_follows_is_as_bad_as_that() -> None:
    found = told(failed("acme.error"), failed("acme.warning", "acme.worse", severity=WARNING), failed("acme.worse"))
    assert found == [("acme.warning", ("print of acme.worse",)), ("acme.error", ())]


def test_hints_and_what_is_ignored_are_no_causes() -> None:
    ignored = failed("acme.ignored", "acme.symptom", outcome=Outcome.IGNORED)
    assert told(failed("acme.hint", severity=INFO), ignored, failed("acme.symptom")) == [("acme.symptom", ())]


@given(
    st.lists(
        st.builds(
            lambda name, explains, target: failed(name, *explains, target=target),
            st.sampled_from("abcde"),
            st.lists(st.sampled_from("abcdef"), max_size=3),
            st.sampled_from(["local", "other"]),
        ),
        max_size=8,
    )
)
def test_every_finding_is_a_cause_or_follows_from_one(results: list[Result]) -> None:
    found = causes(results)
    named = [(one.target, f"print of {one.id}") for one in found]
    named += [(one.target, each) for one in found for each in one.explains]
    assert set(named) == {(one.target, one.findings[0].fingerprint) for one in results}
    assert len(found) <= len(results)


@check("acme.symptom", title="it works", looks_at="it", fix="mend it")
def symptom(_context: Context) -> list[Finding]:
    """It does not work."""
    return [Finding(message="it does not work")]


@check("acme.root", title="it is whole", looks_at="it", fix="mend it")
def root(_context: Context) -> list[Finding]:
    """It is broken."""
    return [Finding(message="it is broken", explains=("acme.symptom",))]


def test_a_report_names_the_cause_first() -> None:
    machine = Target(id="machine", kind=TargetKind.MACHINE, title="this machine")
    report = examine([symptom, root], [machine], SharedLook()).report
    (cause,) = report.causes
    ((explained,),) = (one.findings for one in report.results if one.check == "acme.symptom")
    assert (cause.id, cause.explains) == ("acme.root", (explained.fingerprint,))
