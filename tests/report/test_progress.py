from __future__ import annotations

import io
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.documents import Event, State
from kubedoctor.report.progress import Progress


class Terminal(io.StringIO):
    """A terminal of some size; `screen` is what a person sees on it."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        super().__init__()
        self.width, self.height = width, height

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99

    @property
    def screen(self) -> list[str]:
        lines, row = [""], 0
        for found in re.finditer(
            r"\x1b\[(\d*)([AJm])|\r|\n|[^\x1b\r\n]+", re.sub(r"\x1b\[\d+(;\d+)*m", "", self.getvalue())
        ):
            text = found[0]
            if found[2] == "A":
                row -= int(found[1])
                assert row >= 0, "moved above what we wrote"
            elif found[2] == "J":
                del lines[row + 1 :]
                lines[row] = ""
            elif text == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif text != "\r":
                assert len(text) < self.width, "the line would wrap"
                lines[row] = text
        return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((stream.width, stream.height)))
    return stream


def event(component: str, state: str, elapsed: float, message: str = "", exit: str = "") -> Event:  # noqa: A002
    return Event(
        seq=1, time="", elapsed=elapsed, event="state", component=component, state=state, message=message, exit=exit
    )


def test_lines_change_in_place_on_a_terminal(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd", "kube-apiserver"], live=True) as progress:
        progress.update(event("etcd", "starting", 0.1))
        progress.update(event("kube-apiserver", "waiting", 0.1, "for etcd"))
        progress.update(event("etcd", "ready", 0.31))
        assert terminal.screen == [
            "  etcd                     ready    0.3 s",
            "  kube-apiserver           waiting          for etcd",
            "",
        ]
        progress.update(event("kube-apiserver", "ready", 2.6))
    assert terminal.screen[1] == "  kube-apiserver           ready    2.6 s"


def test_a_note_stays_above_the_lines_that_change(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.note("etcd is from the cache \x1b[2J")
        progress.update(event("etcd", "ready", 0.3))
    assert terminal.screen == ["etcd is from the cache \\x1b[2J", "  etcd                     ready    0.3 s", ""]


def test_what_the_whole_place_is_busy_with_is_a_last_line_that_goes_again(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "ready", 0.3))
        progress.update(Event(seq=2, time="", elapsed=1.0, event="note", message="applying default service account"))
        assert terminal.screen[1] == "  applying default service account"
        progress.update(Event(seq=3, time="", elapsed=1.2, event="ready"))
        assert terminal.screen[1:] == [""]


def test_what_a_probe_waits_for_is_told(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "starting", 0.1, "/readyz: rbac"))
        assert terminal.screen[0].endswith("starting         waiting for /readyz: rbac")


def test_an_exit_is_told_once(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "failed", 0.3, "exit status 1; given up", exit="exit status 1"))
    assert terminal.screen[0].endswith("0.3 s   exit status 1; given up")


def test_a_long_reason_is_cut_to_the_terminal(terminal: Terminal) -> None:
    terminal.width = 40
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "failed", 0.2, "x" * 200, exit="exit status 1"))
        assert terminal.screen[0].endswith("…")


def test_a_terminal_made_narrower_is_cleared_of_wrapped_lines(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "starting", 0.1, "w" * 100))
        terminal.width = 40
        terminal.truncate(0)
        terminal.seek(0)
        terminal.write("\n\n")
        progress.update(event("etcd", "ready", 0.2))
        assert "\x1b[2A" in terminal.getvalue()


def test_more_components_than_lines_are_counted(terminal: Terminal) -> None:
    terminal.height = 6
    names = [f"c{n}" for n in range(50)]
    with Progress(terminal, names, live=True) as progress:
        progress.update(event("c0", "ready", 0.1))
        assert terminal.screen[0] == "  1 of 50 ready"
        assert len(terminal.screen) == 6
        terminal.height = 100
    assert len(terminal.screen) == 51


def test_the_cursor_is_never_hidden(terminal: Terminal) -> None:
    with Progress(terminal, ["etcd"], live=True) as progress:
        progress.update(event("etcd", "ready", 0.3))
    assert "?25" not in terminal.getvalue()


def test_without_a_terminal_each_component_is_one_line() -> None:
    stream = io.StringIO()
    with Progress(stream, ["etcd", "kube-scheduler"], live=False) as progress:
        progress.update(event("etcd", "starting", 0.1))
        progress.update(event("etcd", "starting", 0.2, "waiting for port 2379"))
        progress.update(event("etcd", "ready", 0.3))
        progress.update(event("etcd", "ready", 0.4))
        progress.update(event("kube-scheduler", "failed", 2.9, "no\nsuch file", exit="exit status 1"))
    assert stream.getvalue().splitlines() == [
        "  etcd                     ready    0.3 s",
        "  kube-scheduler           failed   2.9 s   exit status 1: no such file",
    ]


def test_without_a_terminal_a_start_that_hangs_tells_where() -> None:
    stream = io.StringIO()
    with Progress(stream, ["etcd"], live=False) as progress:
        progress.update(event("etcd", "waiting", 0.1))
        progress.update(event("etcd", "starting", 6.0))
        progress.update(event("etcd", "starting", 6.1, "port 2379: connection refused"))
        progress.update(event("etcd", "starting", 11.2, "/health: HTTP 503"))
        progress.update(event("etcd", "starting", 12.0, "/health: HTTP 500"))
    assert stream.getvalue().splitlines() == [
        "  etcd                     starting 11.2 s  waiting for /health: HTTP 503"
    ]


def test_nothing_is_shown_after_the_end() -> None:
    stream = io.StringIO()
    progress = Progress(stream, ["etcd"], live=False)
    progress.close()
    progress.update(event("etcd", "ready", 0.3))
    assert stream.getvalue() == ""


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c" * 30]), st.sampled_from(list(State)), st.text(max_size=60))),
    st.integers(min_value=1, max_value=120),
    st.integers(min_value=1, max_value=10),
)
def test_any_events_keep_every_line_within_the_terminal(
    events: list[tuple[str, State, str]], width: int, height: int
) -> None:
    stream = Terminal(width, height)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((width, height)))
        with Progress(stream, ["a", "b"], live=True) as progress:
            for name, state, message in events:
                progress.update(event(name, state, 1.0, message))
            assert len(stream.screen) >= 1
