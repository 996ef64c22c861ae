"""Checks run beside each other, and each gets its result, whatever it or another one does."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checks import MACHINE, asking, cluster, fact_of, finding, jobs_of, made, passing, raising

from kubedoctor import Absent, Context, Denied, FactError, Finding, Malformed, NotApplicable, NotRecorded, Silent
from kubedoctor.checks import Outcome, Severity
from kubedoctor.doctor import threads
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.runner import Job, run


def results(jobs: list[Job], look: SharedLook | None = None, **options: Any) -> list[Result]:
    return run(jobs, look or SharedLook(), **options)[0]


def outcomes(jobs: list[Job], **options: Any) -> list[tuple[str, str]]:
    return [(result.check, result.outcome.value) for result in results(jobs, **options)]


def never_ends() -> threading.Event:
    """Return an event that nobody sets: a thread that waits for it hangs."""
    return threading.Event()


def waiting(event: threading.Event) -> None:
    event.wait()


# --- what a check comes to --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Absent("no such file"), Outcome.UNKNOWN),
        (Denied("needs root"), Outcome.UNKNOWN),
        (Silent("no answer"), Outcome.UNKNOWN),
        (Malformed("line 3: no table"), Outcome.UNKNOWN),
        (NotRecorded("not recorded"), Outcome.UNKNOWN),
        (FactError("acme.x failed: KeyError: 'a'"), Outcome.CRASHED),
        (NotApplicable("no gizmo"), Outcome.NOT_APPLICABLE),
    ],
)
def test_what_a_check_raises_decides_its_outcome(error: Exception, outcome: Outcome) -> None:
    (result,) = results(jobs_of(raising("acme.one", error)))
    assert (result.outcome, result.findings) == (outcome, ())
    assert result.reason == str(error)


def test_what_was_found_before_counts_whatever_comes_after() -> None:
    def look(context: Context) -> Iterator[Finding]:
        yield Finding(message="one thing")
        raise Denied("needs root")

    (result,) = results(jobs_of(made("acme.half", look, severity=Severity.WARNING)))
    assert (result.outcome, result.reason) == (Outcome.FAILED, "needs root")
    assert [(one.message, one.severity) for one in result.findings] == [("one thing", Severity.WARNING)]


def test_a_crash_names_plugin_and_distribution_and_keeps_the_exception() -> None:
    error = KeyError("ports")
    found, crashes = run(
        jobs_of(raising("acme.one", error), passing("acme.two"), owner="acme (acme-kd 0.3)"), SharedLook()
    )
    assert [(one.outcome, one.reason) for one in found] == [
        (Outcome.CRASHED, "acme (acme-kd 0.3): KeyError: 'ports'"),
        (Outcome.PASSED, ""),
    ]
    assert [(crash.job.check.id, crash.error) for crash in crashes] == [("acme.one", error)]


@pytest.mark.parametrize("error", [SystemExit(2), RecursionError(), MemoryError()])
def test_a_check_cannot_end_the_run(error: BaseException) -> None:
    assert outcomes(jobs_of(raising("acme.one", error), passing("acme.two"))) == [
        ("acme.one", "crashed"),
        ("acme.two", "passed"),
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("text", "TypeError: returned str, not findings"),
        (7, "TypeError: returned int, not findings"),
        (["text"], "TypeError: found a str, not a Finding"),
        ([Finding(message=None)], "ValueError: Finding.message: expected a string, found None"),  # type: ignore[arg-type]
        ([Finding(message="x", fixes=("mend",))], "ValueError: Finding.fixes[0]: expected an object"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_finding_is_a_defect_of_the_check(given: Any, reason: str) -> None:
    (result,) = results(jobs_of(made("acme.one", lambda _: given)))
    assert result.outcome is Outcome.CRASHED
    assert reason in result.reason


# --- hanging ----------------------------------------------------------------------------------------------------------


def test_a_hung_fact_costs_its_check_the_deadline_and_is_named() -> None:
    never = never_ends()
    stuck = fact_of("acme.stuck", lambda _, path: never.wait())
    begin = time.monotonic()
    found = results(jobs_of(asking("acme.one", stuck, "/mnt", deadline=0.2), passing("acme.two")))
    assert 0.2 <= time.monotonic() - begin < 2
    assert [(one.outcome, one.reason) for one in found] == [
        (Outcome.TIMED_OUT, 'acme.stuck("/mnt") did not answer in 0.2 s'),
        (Outcome.PASSED, ""),
    ]


def test_a_check_that_hangs_by_itself_is_given_up_with_what_it_found() -> None:
    never = never_ends()

    def look(_: Context) -> Iterator[Finding]:
        yield Finding(message="one thing")
        never.wait()

    silent, half = (
        made("acme.silent", lambda _: waiting(never), deadline=0.1),
        made("acme.half", look, deadline=0.1),
    )
    found = results(jobs_of(silent, half))
    assert [one.outcome for one in found] == [Outcome.TIMED_OUT, Outcome.FAILED]
    assert {one.reason for one in found} == {"did not end in 0.1 s"}


def test_many_that_wait_for_one_hung_fact_end_together() -> None:
    never = never_ends()
    stuck = fact_of("acme.stuck", lambda _: never.wait())
    checks = [asking(f"acme.n{number}", stuck, deadline=0.3) for number in range(60)]
    begin = time.monotonic()
    found = results(jobs_of(*checks), at_once=2)
    assert time.monotonic() - begin < 5  # not 30 times 0.3 s
    assert {(one.outcome, one.reason) for one in found} == {(Outcome.TIMED_OUT, "acme.stuck() did not answer in 0.3 s")}


def compute(seconds: float) -> None:
    """Be on the CPU for this long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_computes_on_a_busy_machine_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MOST", 100)  # this machine may be busy indeed
    slow = fact_of("acme.slow", lambda _: compute(0.3))
    never = never_ends()
    found = results(
        jobs_of(
            *(asking(f"acme.n{number}", slow, deadline=0.2) for number in range(5)),
            made("acme.hung", lambda _: waiting(never), deadline=0.2),
        )
    )
    assert [one.outcome for one in found] == [Outcome.PASSED] * 5 + [Outcome.TIMED_OUT]


def test_what_computes_without_end_is_given_up_too() -> None:
    begin = time.monotonic()
    (result,) = results(jobs_of(made("acme.endless", lambda _: compute(60), deadline=0.1)))
    assert 0.3 <= time.monotonic() - begin < 5
    assert result.outcome is Outcome.TIMED_OUT


def test_hung_checks_do_not_use_up_the_places() -> None:
    never = never_ends()
    hung = [made(f"acme.hung{number}", lambda _: waiting(never), deadline=1.5) for number in range(8)]
    ended: list[float] = []
    well = made("acme.well", lambda _: ended.append(time.monotonic()))
    begin = time.monotonic()
    found = results(jobs_of(*hung, well), at_once=2)
    assert ended[0] - begin < 1.4  # it did not wait for the hung ones to be given up
    assert [one.outcome for one in found] == [Outcome.TIMED_OUT] * 8 + [Outcome.PASSED]


def test_the_run_has_a_deadline_of_its_own() -> None:
    never = never_ends()
    hung = made("acme.hung", lambda _: waiting(never), deadline=100)
    after = passing("acme.after", requires=("acme.hung",))
    begin = time.monotonic()
    found = results(jobs_of(hung, after), seconds=0.2)
    assert time.monotonic() - begin < 5
    assert [one.outcome for one in found] == [Outcome.TIMED_OUT] * 2
    assert re.fullmatch(r"did not end in [\d.]+ s", found[0].reason)
    assert found[1].reason == "the 0.2 s of the run were over before it began"


def test_the_process_ends_while_threads_hang() -> None:
    code = """
        import threading
        from support.checks import jobs_of, made
        from kubedoctor.doctor.look import SharedLook
        from kubedoctor.doctor.runner import run
        never = threading.Event()
        hung = [made(f"acme.n{n}", lambda _: never.wait() and None, deadline=0.1) for n in range(20)]
        print([r.outcome.value for r in run(jobs_of(*hung), SharedLook())[0]].count("timed-out"))
    """
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("20\n", "")


def test_a_machine_without_threads_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("kubedoctor.doctor.threads._thread.start_new_thread", refuse)
    (result,) = results(jobs_of(passing("acme.one")))
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "can't start new thread")


# --- prerequisites ----------------------------------------------------------------------------------------------------


def test_what_builds_on_a_failed_check_is_skipped_and_names_the_first() -> None:
    jobs = jobs_of(
        passing("acme.last", requires=("acme.middle",)),
        passing("acme.middle", requires=("acme.first",)),
        finding("acme.first"),
        passing("acme.other"),
    )
    assert [(one.outcome.value, one.reason) for one in results(jobs)] == [
        ("skipped", "acme.first failed"),
        ("skipped", "acme.first failed"),
        ("failed", ""),
        ("passed", ""),
    ]


def test_only_a_failure_skips_and_a_hint_is_none() -> None:
    jobs = jobs_of(
        raising("acme.blind", Denied("needs root")),
        finding("acme.hint", severity=Severity.INFO),
        passing("acme.last", requires=("acme.blind", "acme.hint")),
    )
    assert outcomes(jobs)[-1] == ("acme.last", "passed")


def test_a_check_waits_for_what_it_builds_on() -> None:
    order: list[str] = []
    checks = [
        made("acme.b", lambda _: order.append("b"), requires=("acme.a",)),
        made("acme.a", lambda _: order.append("a")),
    ]
    results(jobs_of(*checks))
    assert order == ["a", "b"]


def test_a_prerequisite_counts_on_the_same_target_or_on_the_machine() -> None:
    def broken_in_one(context: Context) -> Iterator[Finding]:
        if context.target.id == "one":
            yield Finding(message="broken")

    targets = (MACHINE, cluster("one", "etcd"), cluster("two", "etcd"))
    checks = (
        made("acme.etcd", broken_in_one, of=("etcd",)),
        passing("acme.more", of=("etcd",), requires=("acme.etcd",)),
        passing("acme.last", of=("etcd",), requires=("acme.machine",)),
        finding("acme.machine"),
    )
    found = {(one.check, one.target): one.outcome.value for one in results(jobs_of(*checks, targets=targets))}
    assert found == {
        ("acme.machine", "machine"): "failed",
        ("acme.etcd", "one"): "failed",
        ("acme.more", "one"): "skipped",
        ("acme.last", "one"): "skipped",
        ("acme.etcd", "two"): "passed",
        ("acme.more", "two"): "passed",
        ("acme.last", "two"): "skipped",
    }


# --- all of it --------------------------------------------------------------------------------------------------------

KINDS = ("pass", "fail", "raise", "deny", "hang")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.frozensets(st.integers(0, 11), max_size=3)), min_size=1, max_size=12),
    st.integers(1, 3),
)
def test_every_check_has_one_result_in_order_whatever_happens(
    plan: list[tuple[str, frozenset[int]]], at_once: int
) -> None:
    never = never_ends()

    def look(kind: str, _: Context) -> list[Finding]:
        match kind:
            case "fail":
                return [Finding(message="broken")]
            case "raise":
                raise ZeroDivisionError
            case "deny":
                raise Denied("needs root")
            case "hang":
                never.wait()
        return []

    def bound(kind: str) -> Any:
        return lambda context: look(kind, context)

    checks = [
        made(
            f"acme.n{number}",
            bound(kind),
            deadline=0.05 if kind == "hang" else 10,
            requires=tuple(f"acme.n{one}" for one in sorted(requires)),
        )
        for number, (kind, requires) in enumerate(plan)
    ]
    found = results(jobs_of(*checks), at_once=at_once)
    assert [one.check for one in found] == [one.id for one in checks]
    expected = {"pass": "passed", "fail": "failed", "raise": "crashed", "deny": "unknown", "hang": "timed-out"}
    for (kind, _), result in zip(plan, found, strict=True):
        assert result.outcome.value in (expected[kind], "skipped")
    never.set()


def test_a_message_cannot_steer_a_terminal() -> None:
    (result,), _ = run(jobs_of(finding("acme.a", "no \x1b[31msocket\n at \u202e/x")), SharedLook())
    assert result.findings[0].message == "no ?[31msocket? at ?/x"
