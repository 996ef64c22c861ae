"""A recording shows the same machine anywhere, for as long as recordings are read; anything else is refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checks import MACHINE, asking, cluster, fact_of, finding, made
from support.values import JSON

from kubedoctor import Absent, Check, Context, Denied, FactError, Finding, Look, Malformed, NotRecorded, Target, fact
from kubedoctor.checks import Outcome
from kubedoctor.doctor import recording as module
from kubedoctor.doctor.documents import Report
from kubedoctor.doctor.examine import examine
from kubedoctor.doctor.look import SharedLook
from kubedoctor.doctor.recording import Recording, ask_all, is_bare, pack, record, replay, unpack
from kubedoctor.testing import examine_recording

FIRST = Path(__file__).parent.parent / "fixtures" / "recordings" / "schema-1.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk as the first release recorded it, and what has been added since."""

    path: str
    free: float
    inodes: int | None = None
    added_since: str = "not known"


@fact("acme.disks")
def disks(look: Look) -> tuple[Disk, ...]:
    """All disks."""
    return (Disk(path="/", free=0.5), Disk(path="/var", free=0.01, inodes=7))


@fact("acme.text")
def text(look: Look, path: str, root: int = 0) -> str:
    """The text of a file."""
    if path == "/secret":
        raise Denied("needs root")
    return f"text of {path}"


@fact("acme.full", recorded=False)
def full(look: Look, limit: float) -> tuple[str, ...]:
    """The disks that are nearly full."""
    return tuple(disk.path for disk in look.get(disks) if disk.free < limit)


def disk_full(context: Context) -> list[Finding]:
    return [Finding(message=f"{path} is full, {context.now:.0f}", subject=path) for path in context.get(full, 0.1)]


CHECKS = (
    made("acme.disk-full", disk_full),
    asking("acme.secret", text, "/secret"),
    asking("acme.text", text, "/etc/hosts", of=("etcd",)),
    asking("acme.broken", fact_of("acme.broken-fact", lambda _: 1 / 0)),
)
TARGETS = (MACHINE, cluster("one", "etcd"))


def same(report: Report) -> Report:
    """Return the report without what differs from run to run."""
    return replace(report, seconds=0, results=tuple(replace(result, seconds=0) for result in report.results))


def recorded(look: SharedLook, *checks: Check, targets: tuple[Target, ...] = TARGETS) -> tuple[Report, Recording]:
    found = examine(checks, targets, look).report
    return found, record(look, targets, version="0.1", plugins={"acme": "acme-kd 0.3"})


@pytest.mark.parametrize("compressed", [False, True])
def test_a_recording_gives_the_same_report(compressed: bool) -> None:
    live, kept = recorded(SharedLook(now=1_700_000_000.25), *CHECKS)
    data = pack(kept, compressed=compressed)
    assert data.startswith(b"\x1f\x8b") is compressed
    again = unpack(data)
    assert again == kept
    later = examine(CHECKS, again.targets, replay(again)).report
    assert same(later) == same(live)
    assert later.started == "2023-11-14T22:13:20.250Z"
    assert [result.outcome for result in later.results] == [
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.CRASHED,
        Outcome.PASSED,
    ]


def test_what_hung_is_timed_out_in_the_recording_too() -> None:
    never = threading.Event()
    stuck = fact_of("acme.stuck", lambda _: never.wait())
    outer = fact_of("acme.outer", lambda look: look.get(stuck))
    check = asking("acme.one", outer, deadline=0.2)
    live, kept = recorded(SharedLook(), check, targets=(MACHINE,))
    later = examine((check,), kept.targets, replay(kept)).report
    assert same(later) == same(live)
    assert later.results[0].reason == "acme.stuck() did not answer in 0.2 s"


def test_facts_are_kept_by_name_and_arguments_with_values_or_errors() -> None:
    look = SharedLook(now=5.0)
    _, kept = recorded(look, *CHECKS)
    document = json.loads(pack(kept, compressed=False))
    assert document["facts"] == {
        "acme.broken-fact()": {
            "value": None,
            "error": {"kind": "failed", "reason": "acme.broken-fact failed: ZeroDivisionError: division by zero"},
        },
        "acme.disks()": {
            "value": [
                {"path": "/", "free": 0.5, "inodes": None, "added_since": "not known"},
                {"path": "/var", "free": 0.01, "inodes": 7, "added_since": "not known"},
            ],
            "error": None,
        },
        'acme.text("/etc/hosts")': {"value": "text of /etc/hosts", "error": None},
        'acme.text("/secret")': {"value": None, "error": {"kind": "denied", "reason": "needs root"}},
    }
    assert (document["kind"], document["schema_version"], document["now"]) == ("Recording", 1, 5.0)
    assert document["plugins"] == {"acme": "acme-kd 0.3"}


def test_what_was_not_asked_is_not_recorded() -> None:
    _, kept = recorded(SharedLook(), finding("acme.one"))
    with pytest.raises(NotRecorded, match=r'^acme\.text\("/a"\) is not recorded$'):
        replay(kept).get(text, "/a")


def test_facts_without_arguments_are_asked_for_the_recording_whether_a_check_needs_them_or_not() -> None:
    never = threading.Event()
    asked: list[str] = []

    def told(name: str, answer: Callable[[], Any]) -> Callable[[Look], Any]:
        def gather(_: Look) -> Any:
            asked.append(name)
            return answer()

        return gather

    bare = fact_of("acme.bare", told("bare", lambda: 1))
    known = fact_of("acme.known", told("known", lambda: 2))
    broken = fact_of("acme.broken-fact", told("broken", lambda: 1 / 0))
    stuck = fact_of("acme.stuck", told("stuck", never.wait))
    look = SharedLook()
    look.get(known)
    ask_all(look, [bare, known, disks, text, full, broken, stuck], seconds=0.2)
    assert sorted(asked) == ["bare", "broken", "known", "stuck"]
    assert sorted(look.answers()) == [
        "acme.bare()",
        "acme.broken-fact()",
        "acme.disks()",
        "acme.known()",
        "acme.stuck()",
    ]
    assert [is_bare(one) for one in (disks, text, full)] == [True, False, False]


def test_a_value_that_has_no_json_form_is_told_and_is_an_error() -> None:
    told: list[tuple[str, str]] = []
    look = SharedLook()
    look.get(fact_of("acme.odd", lambda _: object()))
    kept = record(look, TARGETS, version="0.1", plugins={}, report=lambda name, what: told.append((name, what)))
    assert told == [("acme.odd", "its value cannot be recorded: object has no JSON form")]
    error = kept.facts["acme.odd()"].error
    assert error is not None
    assert error.kind == "failed"


# --- recordings of others ---------------------------------------------------------------------------------------------


def test_a_recording_of_the_first_schema_is_still_read() -> None:
    kept = unpack(FIRST.read_bytes())
    look = replay(kept)
    assert look.now == 1_700_000_000.25
    assert [target.id for target in kept.targets] == ["machine", "one"]
    assert kept.targets[1].instances[0].flag("data-dir") == "/var/lib/etcd"
    assert look.get(disks) == (Disk(path="/", free=0.5), Disk(path="/var", free=0.01, inodes=7))
    assert look.get(full, 0.1) == ("/var",)
    for path, error in {"/secret": Denied, "/gone": Absent, "/later": Malformed, "/bad": FactError}.items():
        with pytest.raises(error, match=r"^(needs root|it does not exist|what no reader knows|it failed)$"):
            look.get(text, path)
    report = examine(CHECKS[:3], kept.targets, look).report
    assert [(result.check, result.outcome) for result in report.results] == [
        ("acme.disk-full", Outcome.FAILED),
        ("acme.secret", Outcome.UNKNOWN),
        ("acme.text", Outcome.PASSED),
    ]


def test_a_value_of_another_form_is_malformed_and_no_crash() -> None:
    with pytest.raises(Malformed, match=r'acme\.text\("/number"\) is recorded in another form: .*found 7'):
        replay(unpack(FIRST.read_bytes())).get(text, "/number")


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(FIRST.read_bytes()) | changes).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not JSON at line 1, column 1"),
        (b"{", "it is not JSON at line 1, column 2"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[]", "it is not a recording of `kubedoctor check --record`"),
        (b'{"kind": "Report", "schema_version": 1}', "it is not a recording of `kubedoctor check --record`"),
        (b'{"kind": "Recording", "schema_version": "1"}', "its schema_version is not a number"),
        (b'{"kind": "Recording", "schema_version": true}', "its schema_version is not a number"),
        (
            b'{"kind": "Recording", "schema_version": 2}',
            "a newer kubedoctor wrote it: schema 2, this one reads up to 1",
        ),
        (b'{"kind": "Recording", "schema_version": 1}', "Recording: kubedoctor is missing"),
        (b'{"kind": "Recording", "schema_version": 1, "now": NaN}', "it is not JSON"),
        (b'{"kind": "Recording", "schema_version": 1, "now": ' + b"9" * 5000 + b"}", "it is not JSON"),
        (changed(targets=[]), "its first target is not the machine"),
        (changed(targets=[{"id": "x", "kind": "k3s", "title": "x"}]), "its first target is not the machine"),
        (changed(targets=[{"id": "x", "kind": "machine", "title": "x"}] * 2), "two of its targets have the same id"),
        (changed(now=1e300), "its time is none"),
        (changed(now=-1), "its time is none"),
        (changed(facts={"a": 1}), "Recording.facts.a: expected an object, found 1"),
        (gzip.compress(changed())[:-20], "its end is missing"),
        (b"\x1f\x8b\x08nonsense", "it is not packed as gzip does: "),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        unpack(data)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_recording_that_is_too_large_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1 << 20)
    with pytest.raises(ValueError, match="more than 1 MiB"):
        unpack(b" " * ((1 << 20) + 1))
    with pytest.raises(ValueError, match="more than 1 MiB, unpacked"):
        unpack(gzip.compress(b" " * (64 << 20)))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_recording_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(data)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["kubedoctor", "now", "targets", "facts", "plugins", "schema_version"]), JSON)
def test_a_recording_with_a_part_replaced_is_read_or_refused(part: str, value: Any) -> None:
    try:
        kept = unpack(changed(**{part: value}))
    except ValueError:
        return
    report = examine(CHECKS[:3], kept.targets, replay(kept)).report
    assert {result.check for result in report.results} == {check.id for check in CHECKS[:3]}


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_a_recorded_value_of_any_form_is_an_answer_or_malformed(value: Any) -> None:
    look = replay(unpack(changed(facts={"acme.disks()": {"value": value}})))
    with contextlib.suppress(Malformed):
        assert all(isinstance(disk, Disk) for disk in look.get(disks))


def test_a_recording_can_be_examined_in_a_test() -> None:
    report = examine_recording(FIRST, *CHECKS[:2])
    assert [result.outcome for result in report.results] == [Outcome.FAILED, Outcome.UNKNOWN]
