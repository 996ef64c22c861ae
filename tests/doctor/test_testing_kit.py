"""What authors of checks test with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kubedoctor import Context, Denied, Finding, Look, NotApplicable, check, fact
from kubedoctor.checks import Outcome, Severity
from kubedoctor.testing import FakeLook, run_check


@fact("acme.speed")
def speed(look: Look, wheel: str, root: int = 0) -> int:
    """How fast a wheel turns."""
    raise AssertionError("nobody looks at the machine here")


@fact("acme.wheels")
def wheels(look: Look) -> tuple[str, ...]:
    """All wheels there are."""
    raise AssertionError


@fact("acme.speeds", recorded=False)
def speeds(look: Look) -> dict[str, int]:
    """How fast each wheel turns."""
    return {wheel: look.get(speed, wheel) for wheel in look.get(wheels)}


@check("acme.wheel-stuck", title="wheels turn", looks_at="wheels", fix="push")
def wheel_stuck(context: Context) -> Iterator[Finding]:
    """A wheel that stands still lets others wait."""
    if not context.get(wheels):
        raise NotApplicable("there are no wheels")
    for wheel, turns in context.get(speeds).items():
        if not turns:
            yield Finding(message=f"{wheel} does not turn", subject=wheel)


def test_a_check_finds_what_is_wrong_in_the_facts_it_is_given() -> None:
    result = run_check(wheel_stuck, facts={wheels: ("left", "right"), (speed, "left"): 0, (speed, "right", 0): 7})
    assert result.outcome is Outcome.FAILED
    (finding,) = result.findings
    assert (finding.message, finding.severity, len(finding.fingerprint)) == ("left does not turn", Severity.ERROR, 16)


def test_a_healthy_an_absent_and_an_unreadable_machine() -> None:
    assert run_check(wheel_stuck, facts={wheels: ("a",), (speed, "a"): 1}).outcome is Outcome.PASSED
    nothing = run_check(wheel_stuck, facts={wheels: ()})
    assert (nothing.outcome, nothing.reason) == (Outcome.NOT_APPLICABLE, "there are no wheels")
    unreadable = run_check(wheel_stuck, facts={wheels: Denied("needs root")})
    assert (unreadable.outcome, unreadable.reason) == (Outcome.UNKNOWN, "needs root")


def test_a_fact_that_was_not_given_is_not_recorded() -> None:
    result = run_check(wheel_stuck, facts={wheels: ("a",)})
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, 'acme.speed("a") is not given')


def test_a_value_that_no_recording_could_hold_is_refused() -> None:
    with pytest.raises(TypeError, match=r"acme\.wheels"):
        FakeLook({wheels: ["a", "b"]})
    with pytest.raises(TypeError, match="expected an integer"):
        FakeLook({(speed, "a"): "fast"})


def test_a_defect_of_the_check_comes_out_as_it_is() -> None:
    @check("acme.broken", title="-", looks_at="-", fix="-")
    def broken(context: Context) -> None:
        """Divides."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_check(broken, facts={})
