from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.report.text import cells, columns, duration, elapsed, shortened, visible


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (12.9, "12 s"), (185, "3 min"), (8070, "2 h 14 min"), (5 * 86400 + 3 * 3600, "5 d 3 h")],
)
def test_a_duration_is_as_precise_as_people_want_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.31, "0.3 s"), (59.96, "1 min 0 s"), (72.2, "1 min 12 s")])
def test_what_something_took_has_tenths_of_seconds(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_escape_sequences_become_visible() -> None:
    assert visible("a\x1b[2J\x9b\u202eb\tc") == "a\\x1b[2J\\x9b\\u202eb\tc"


@given(st.text())
def test_visible_text_cannot_steer_a_terminal(text: str) -> None:
    assert not any(ord(c) < 32 and c != "\t" for c in visible(text))
    visible(text).encode()


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert cells(shortened(text, width)) <= width


def test_columns_are_aligned_and_lines_end_without_blanks() -> None:
    rows = [["etcd", "1", "x"], ["kube-apiserver", "10", ""], ["\x1b[32mok\x1b[0m", "", "y"]]
    assert columns(rows, right=[1]) == [
        "etcd             1  x",
        "kube-apiserver  10",
        "\x1b[32mok\x1b[0m                  y",
    ]


def test_no_rows_are_no_lines() -> None:
    assert columns([]) == []
