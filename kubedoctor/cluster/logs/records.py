"""Records: a line with those that go on from it, its level, and when it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kubedoctor.cluster.logs.clock import Clock
from kubedoctor.cluster.logs.lines import CRASH, Level, head, plain_level

MOST_LINES = 2000
"""Lines of one record: stack dumps are long, but what never ends is cut into records, so that memory stays flat."""


class Record(NamedTuple):
    """One thing a component said. `text` is as written, without the last newline; `continues` goes on from the last.

    A named tuple and not a dataclass: there are millions of them in a large log, and a frozen dataclass takes four
    times as long to make.
    """

    component: str
    time: float  # seconds since the epoch; lines without a stamp have that of the one before
    level: Level
    text: str
    continues: bool = False


class Grouping:
    """Puts the lines of one log together to records; keeps what it needs from one batch of lines to the next."""

    def __init__(self, component: str, clock: Clock, *, begin: float) -> None:
        """*begin* is the time of lines before the first stamp."""
        self._component = component
        self.clock = clock
        self._time = begin
        self._level = Level.INFO
        self._open = False  # inside a klog value that spans lines
        self._crashing = False  # a stack dump runs up to the next line with a head
        self._said_something = False

    def records(self, lines: Iterable[str]) -> Iterator[Record]:
        """Yield the records of *lines*; the last one ends with them, what follows later `continues` it."""
        text: list[str] = []
        continues = False
        for line in lines:
            start = head(line)
            if self._said_something and self._goes_on(line, start is not None):
                if not text:
                    continues = True
                elif len(text) >= MOST_LINES:
                    yield self._record(text, continues)
                    text, continues = [], True
                text.append(line)
                continue
            if text:
                yield self._record(text, continues)
            text, continues, self._said_something = [line], False, True
            if start is None:
                self._level = plain_level(line)
                self._crashing = CRASH.match(line) is not None
            else:
                self._level = start.level
                self._time = self.clock.time(start.stamp) or self._time
                self._open = line.endswith("=<")
                self._crashing = start.level is Level.FATAL  # klog's Fatal is followed by all stacks
        if text:
            yield self._record(text, continues)

    def _goes_on(self, line: str, has_head: bool) -> bool:
        if self._open and not has_head:
            self._open = not line.startswith(" >") or line.endswith("=<")
            return True
        self._open = False
        if has_head:
            return False
        return not line or line[0] in " \t" or self._crashing

    def _record(self, text: list[str], continues: bool) -> Record:
        return Record(self._component, self._time, self._level, "\n".join(text).rstrip("\n\t "), continues)
