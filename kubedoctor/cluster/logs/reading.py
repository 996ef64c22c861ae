"""Reading one log: from its start or its end, as far as it goes now, and on from there. Memory stays flat."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from kubedoctor.cluster.logs.clock import Clock
from kubedoctor.cluster.logs.lines import head
from kubedoctor.cluster.logs.records import Grouping, Record

LONGEST_LINE = 64 * 1024
"""Bytes of one line; a longer one is cut into lines that go on: a log without newlines must not fill the memory."""
_BLOCK = 256 * 1024
_LONGEST_BACKWARDS = 16 << 20
_PROBE_LINES = 400


class LogFile:
    """A log that is read once and then followed, through truncation and replacement of its file."""

    def __init__(self, component: str, path: Path) -> None:
        self.component = component
        self.path = path
        self._descriptor = -1
        self._inode = 0
        self._offset = 0
        self._rest = b""  # a line whose newline is still to come
        self._grouping: Grouping | None = None

    def open(self, *, at_end: bool = False) -> bool:
        """Open the file that stands at the path now; return whether there is one. Only regular files count."""
        self.close()
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return False
        self._descriptor, self._inode = descriptor, found.st_ino
        self._offset = found.st_size if at_end else 0
        self._rest = b""
        self._grouping = Grouping(self.component, Clock(found.st_mtime), begin=self._first_time(found.st_mtime))
        return True

    def close(self) -> None:
        """Close the file; what was read of it is known no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def seek_last(self, count: int) -> None:
        """Go on reading where at least the last *count* records follow.

        The log is read backwards, and no more of it than that takes. Records are known by their heads; in a log that
        has none in its last 16 MiB, each line that is not indented counts as one.
        """
        size = end = os.fstat(self._descriptor).st_size
        self._offset = end
        if count <= 0:
            return
        heads: deque[int] = deque(maxlen=count)  # where records begin, the first one first
        plain: deque[int] = deque(maxlen=count)
        while end > 0 and len(heads) < count and (heads or len(plain) < count or size - end < _LONGEST_BACKWARDS):
            end, lines = self._lines_before(end)
            for position, line in reversed(lines):
                if line[:1] in b" \t\n":
                    continue
                starts = heads if head(_text(line.rstrip(b"\n"))) is not None else plain
                if len(starts) < count:
                    starts.appendleft(position)
        if len(heads) == count:
            self._offset = heads[0]
        else:
            self._offset = plain[0] if end > 0 and plain else 0

    def seek_since(self, moment: float) -> None:
        """Go on reading a little before *moment*: the place is found by halving, as lines are all but in time order."""
        low, high = 0, os.fstat(self._descriptor).st_size
        while high - low > _BLOCK:
            middle = (low + high) // 2
            time = self._time_after(middle)
            if time is not None and time < moment:
                low = middle
            else:
                high = middle
        if low:
            block = os.pread(self._descriptor, _BLOCK, low)
            low += block.find(b"\n") + 1
        self._offset = low

    def _lines_before(self, end: int) -> tuple[int, list[tuple[int, bytes]]]:
        """Return the whole lines of the block that ends at *end* with their positions, and where the first begins."""
        length = _BLOCK
        while True:
            begin = max(0, end - length)
            block = os.pread(self._descriptor, end - begin, begin)
            cut = block.find(b"\n", 0, -1) + 1 if begin else 0
            if cut or begin == 0 or length >= _LONGEST_BACKWARDS:
                break
            length *= 4  # one line that is longer than the block
        lines, position = [], begin + cut
        for line in block[cut:].splitlines(keepends=True):
            lines.append((position, line[:LONGEST_LINE]))
            position += len(line)
        return begin + cut, lines

    def _time_after(self, offset: int) -> float | None:
        """Return the time of the first stamp after *offset*, None when the next block has none."""
        clock = Clock(os.fstat(self._descriptor).st_mtime)
        _, *lines = os.pread(self._descriptor, _BLOCK, offset).split(b"\n")
        for line in lines:
            start = head(_text(line[:LONGEST_LINE]))
            if start is not None and (time := clock.time(start.stamp)) is not None:
                return time
        return None

    def records(self) -> Iterator[Record]:
        """Yield the records from where reading stopped to the end of the file as it is now."""
        if self._descriptor < 0 or self._grouping is None:
            return
        self._grouping.clock.reference = os.fstat(self._descriptor).st_mtime
        yield from self._grouping.records(self._lines())

    def unfinished(self) -> Iterator[Record]:
        """Yield the last line if it has no newline (yet): to be asked for when nobody follows."""
        if self._rest and self._grouping is not None:
            rest, self._rest = self._rest, b""
            yield from self._grouping.records([_text(rest)])

    def was_truncated(self) -> bool:
        """Return whether the file is shorter than what was read of it; reading goes on at its start then."""
        if self._descriptor < 0 or os.fstat(self._descriptor).st_size >= self._offset:
            return False
        self._offset, self._rest = 0, b""
        return True

    def was_replaced(self) -> bool:
        """Return whether another file stands at the path now, or one where there was none."""
        try:
            found = self.path.stat()
        except OSError:
            return False  # renamed, and not yet made anew: what stands in the old file is still to be read
        return self._descriptor < 0 or found.st_ino != self._inode

    def _lines(self) -> Iterator[str]:
        while block := os.pread(self._descriptor, _BLOCK, self._offset):
            self._offset += len(block)
            block = block.replace(b"\0", b"")  # a log that was truncated while written to has holes
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                if len(line) <= LONGEST_LINE:
                    yield _text(line)
                else:
                    yield from _pieces(line)
            while len(self._rest) > LONGEST_LINE:
                yield _text(self._rest[:LONGEST_LINE])
                self._rest = b" " + self._rest[LONGEST_LINE:]  # a blank first: it goes on from the line before

    def _first_time(self, otherwise: float) -> float:
        clock = Clock(otherwise)
        for line in os.pread(self._descriptor, LONGEST_LINE, 0).split(b"\n")[:_PROBE_LINES]:
            start = head(_text(line))
            if start is not None and (time := clock.time(start.stamp)) is not None:
                return time
        return otherwise


def _pieces(line: bytes) -> Iterator[str]:
    yield _text(line[:LONGEST_LINE])
    for begin in range(LONGEST_LINE, len(line), LONGEST_LINE):
        yield " " + _text(line[begin : begin + LONGEST_LINE])


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode(errors="surrogateescape")
