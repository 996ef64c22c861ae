"""Streams, colour and tables."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cli.console import Console, printable, table
from kubedoctor.components import Stop


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_data_goes_to_stdout_and_words_to_stderr() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(stdout=out, stderr=err)
    console.data("data")
    console.say("words")
    console.warn("careful", hint="look")
    assert out.getvalue() == "data\n"
    assert err.getvalue() == "words\nwarning: careful\n\nhint: look\n"


def test_quiet_silences_words_only() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(quiet=True, stdout=out, stderr=err)
    console.data("data")
    console.say("words")
    console.error("wrong")
    assert (out.getvalue(), err.getvalue()) == ("data\n", "error: wrong\n")


def test_a_document_is_written_as_json() -> None:
    out = io.StringIO()
    Console(stdout=out).json({"stop": Stop(), "ok": True})
    assert json.loads(out.getvalue()) == {"stop": {"signal": "SIGTERM", "timeout": 5.0}, "ok": True}


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console(stdout=Terminal()).style("x", "red") == "\x1b[31mx\x1b[0m"
    assert Console(stdout=io.StringIO()).style("x", "red") == "x"
    assert Console(stdout=Terminal(), color=False).style("x", "red") == "x"
    assert Console(stdout=io.StringIO(), color=True).style("x", "bold", "red") == "\x1b[1;31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console(stdout=Terminal()).style("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "")
    assert Console(stdout=Terminal()).style("x", "red") != "x"
    monkeypatch.setenv("TERM", "dumb")
    assert Console(stdout=Terminal()).style("x", "red") == "x"


def test_only_a_terminal_that_can_move_its_cursor_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console(stderr=Terminal()).is_live
    assert not Console(stderr=io.StringIO()).is_live
    closed = Terminal()
    closed.close()
    assert not Console(stderr=closed).is_live or closed.closed
    monkeypatch.setenv("TERM", "dumb")
    assert not Console(stderr=Terminal()).is_live


def test_the_width_is_that_of_the_terminal_or_what_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    assert Console().width == 132


def test_a_table_is_aligned_and_has_no_trailing_blanks() -> None:
    rows = [("etcd", 3, "ready"), ("kube-apiserver", 12, None), ("x", 1, "a\nb")]
    assert table(rows, ("component", "n", "state"), align="lr", indent=2) == (
        "  component        n  state\n  etcd             3  ready\n  kube-apiserver  12  -\n  x                1  a b"
    )
    assert table([]) == ""


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_table_has_one_line_a_row(rows: list[list[str]]) -> None:
    lines = table(rows).split("\n")
    assert len(lines) == len(rows)
    assert all(line == line.rstrip() for line in lines)


@given(st.text())
def test_what_is_printable_holds_no_control_character(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in printable(text))
