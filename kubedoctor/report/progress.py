"""What `up` shows while components come up: lines that change in place, or one when something is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from kubedoctor.cluster.documents import WELL, Event, State
from kubedoctor.records import dataclass
from kubedoctor.report.text import cells, elapsed, shortened, styled, visible, wants_colour

_STYLE = {**dict.fromkeys(WELL, "green"), State.FAILED: "red", State.BACKOFF: "yellow", State.EXITED: "yellow"}
_SETTLED = frozenset({*WELL, State.FAILED, State.BACKOFF, State.EXITED})
_QUIET_SECONDS = 5.0
"""Without a terminal, what a component waits for is told this long after its last line at the earliest: a start that
goes well is one line a component, one that hangs still tells where."""


@dataclass(slots=True)
class _Row:
    name: str
    state: str = State.WAITING
    elapsed: float = 0.0  # when the state began
    detail: str = ""
    told: float = 0.0  # when a line was last printed for it


class Progress:
    """Shows the events of a place on *stream*.

    With *live* the lines change in place. The cursor always rests below them and is never hidden, so an interrupt at
    any moment leaves a usable terminal. Without it, each line is written once and stays: for logs of CI.
    """

    def __init__(self, stream: TextIO, components: Sequence[str], live: bool) -> None:
        self._stream = stream
        self._rows = {name: _Row(name) for name in components}
        self._live = live and os.environ.get("TERM", "") != "dumb"
        self._colour = wants_colour(stream)
        self._drawn: list[int] = []  # columns that each line on the screen takes
        self._busy = ""
        self._busy_told = 0.0
        self._closed = False

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def update(self, event: Event) -> None:
        """Take in one event of the keeper; events that change nothing to be seen are fine."""
        if self._closed:
            return
        if not event.component:
            self._whole_place(event)
        if not event.component or event.event not in ("state", "failed"):
            return
        row = self._rows.setdefault(event.component, _Row(event.component))
        state = event.state or (State.FAILED if event.event == "failed" else row.state)
        ended = "" if state in WELL else event.exit  # what was to end and has needs no more words
        parts = [event.message] if ended in event.message else [ended, event.message]
        detail = visible(" ".join(": ".join(part for part in parts if part).split()))
        if state == State.STARTING and detail.startswith(("/", "port ")):  # what the probe asks for, and its answer
            detail = f"waiting for {detail}"
        if (state, detail) == (row.state, row.detail):
            return
        changed = state != row.state
        row.state, row.detail = state, detail
        if changed:
            row.elapsed = event.elapsed
        if self._live:
            self._draw()
            return
        quiet = event.elapsed - max(row.told, row.elapsed)
        if (changed and state in _SETTLED) or (detail and quiet >= _QUIET_SECONDS):
            row.told = row.elapsed = event.elapsed
            self._write(f"{self._coloured(row, self._line(row))}\n")

    def _whole_place(self, event: Event) -> None:
        """Take in what the place as a whole is busy with: a last line that goes again."""
        busy = visible(" ".join(event.message.split())) if event.event == "note" else ""
        if busy == self._busy:
            return
        self._busy = busy
        if self._live:
            self._draw()
        elif busy and event.elapsed - self._busy_told >= _QUIET_SECONDS:
            self._busy_told = event.elapsed
            self._write(f"  {busy}\n")

    def note(self, text: str) -> None:
        """Show a line that stays, above those that change."""
        line = visible(text)
        if not self._live or self._closed:
            self._write(f"{line}\n")
            return
        self._write(f"{self._erase()}{line}\n")
        self._draw()

    def close(self) -> None:
        """Draw the last state in full and leave it on the screen; nothing is shown afterwards."""
        if self._closed:
            return
        self._busy = ""
        if self._live:
            self._draw(everything=True)
        self._closed = True

    def _draw(self, *, everything: bool = False) -> None:
        if not self._live:
            return
        columns, lines = self._size()
        rows = list(self._rows.values())
        texts, shown = [], []
        if (
            not everything and len(rows) + bool(self._busy) >= lines
        ):  # what has scrolled away could not be changed any more
            ready = sum(row.state in WELL for row in rows)
            rows = [row for row in rows if row.state not in WELL][: max(0, lines - 2 - bool(self._busy))]
            texts = [shortened(f"  {ready} of {len(self._rows)} ready", columns - 1)]
            shown = [len(texts[0])]
        for row in rows:
            line = shortened(self._line(row), columns - 1)
            texts.append(self._coloured(row, line))
            shown.append(cells(line))
        if self._busy:
            line = shortened(f"  {self._busy}", columns - 1)
            texts.append(styled(line, "dim", colour=self._colour))
            shown.append(cells(line))
        output = self._erase(columns) + "".join(f"{text}\n" for text in texts)
        self._drawn = shown
        self._write(output)

    def _erase(self, columns: int | None = None) -> str:
        """Return what moves the cursor to the first line of ours and clears from there.

        A terminal made narrower meanwhile has wrapped our lines: they take more rows than were written.
        """
        if not self._drawn:
            return ""
        width = columns or self._size()[0]
        rows = sum(max(1, -(-taken // width)) for taken in self._drawn)
        self._drawn = []
        return f"\x1b[{rows}A\r\x1b[J"

    def _line(self, row: _Row) -> str:
        settled = row.state in _SETTLED or not self._live  # what still changes has no time: nothing would count it up
        time = elapsed(row.elapsed) if settled else ""
        return f"  {row.name:<{self._name_width()}}  {row.state:<8} {time:<7} {row.detail}".rstrip()

    def _name_width(self) -> int:
        return max([23, *(len(name) for name in self._rows)])

    def _coloured(self, row: _Row, line: str) -> str:
        start = 2 + self._name_width() + 2
        return line[:start] + line[start:].replace(
            row.state, styled(row.state, self._style(row), colour=self._colour), 1
        )

    @staticmethod
    def _style(row: _Row) -> str:
        return next((style for state, style in _STYLE.items() if state == row.state), "")

    def _size(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError, AttributeError):
            columns, lines = 80, 24
        return (columns if columns > 0 else 80), (lines if lines > 0 else 24)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
