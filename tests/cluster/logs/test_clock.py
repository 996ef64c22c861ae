from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.logs.clock import Clock, parse_since, written


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_klog_is_in_local_time_of_the_year_of_the_file(in_new_york: object) -> None:
    clock = Clock(at("2026-11-23T12:00:00Z"))
    assert clock.time("1123 03:41:48.250000") == at("2026-11-23T08:41:48.250Z")


def test_a_line_of_december_in_a_file_of_january_is_of_last_year(in_new_york: object) -> None:
    clock = Clock(at("2027-01-01T12:00:00Z"))
    assert clock.time("1231 23:59:59.000000") == at("2026-12-31T23:59:59-05:00")
    assert clock.time("0101 00:00:01.000000") == at("2027-01-01T00:00:01-05:00")


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-11-23T03:40:22.122788Z", "2026-11-23T03:40:22.122788Z"),
        ("2026-11-23T03:40:22.122788123Z", "2026-11-23T03:40:22.122788Z"),
        ("2026-11-23T04:40:22.122+0100", "2026-11-23T03:40:22.122Z"),
        ("2026/11/23 01:11:23", "2026-11-23T01:11:23-05:00"),
        ("1795405222122.5", "2026-11-23T03:40:22.1225Z"),
    ],
)
def test_other_stamps_tell_their_year(in_new_york: object, stamp: str, moment: str) -> None:
    assert Clock(0).time(stamp) == pytest.approx(at(moment), abs=1e-5)


@given(st.one_of(st.text(max_size=30), st.from_regex(r"\A[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\Z")))
def test_what_is_no_stamp_has_no_time(stamp: str) -> None:
    found = Clock(1.7e9).time(stamp)
    assert found is None or found == found


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800)])
def test_since_takes_durations(text: str, seconds: float) -> None:
    assert parse_since(text, 1e9) == 1e9 - seconds


def test_since_takes_a_moment() -> None:
    assert parse_since("2026-11-23T03:40:22Z", 0) == at("2026-11-23T03:40:22Z")


@pytest.mark.parametrize("text", ["", "x", "5", "m", "5mm", "-5m", "nanm", "1e99d", "2026-13-01", "infs"])
def test_since_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_since(text, 1e9)


def test_times_are_written_in_utc() -> None:
    assert written(datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).timestamp()) == "2026-01-02T03:04:05.678Z"
