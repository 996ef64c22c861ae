"""Several logs as one, in time order, and which records of them are wanted."""

from __future__ import annotations

import heapq
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path

from kubedoctor.cluster.logs.lines import Level
from kubedoctor.cluster.logs.reading import LogFile
from kubedoctor.cluster.logs.records import Record
from kubedoctor.records import dataclass


@dataclass(slots=True)
class Wanted:
    """Which records are shown. What continues a record is shown when that was."""

    since: float = 0.0  # seconds since the epoch
    level: Level = Level.DEBUG
    pattern: re.Pattern[str] | None = None
    _shown: dict[str, bool] = field(default_factory=dict)  # by component: whether its last record was

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.since and self.level is Level.DEBUG and self.pattern is None

    def __call__(self, record: Record) -> bool:
        """Return whether *record* is wanted; records of one component are to be asked for in their order."""
        if not record.continues:
            self._shown[record.component] = (
                record.time >= self.since
                and record.level >= self.level
                and (self.pattern is None or self.pattern.search(record.text) is not None)
            )
        return self._shown.get(record.component, False)


def merged(streams: Iterable[Iterable[Record]]) -> Iterator[Record]:
    """Yield the records of all *streams* in time order, holding one of each at a time."""
    return heapq.merge(*streams, key=lambda record: record.time)


def read(logs: Mapping[str, Path], wanted: Wanted, *, last: int | None = None) -> Iterator[Record]:
    """Yield the wanted records of *logs* as they are now, in time order; with *last*, the last so many of them."""
    files = [LogFile(component, path) for component, path in logs.items()]
    try:
        yield from read_files(files, wanted, last=last, to_the_end=True)
    finally:
        for file in files:
            file.close()


def read_files(files: Sequence[LogFile], wanted: Wanted, *, last: int | None, to_the_end: bool) -> Iterator[Record]:
    """Open *files* and yield their wanted records; *to_the_end* counts a last line without newline too."""
    opened = [file for file in files if file.open()]
    for file in opened:
        if last is not None and wanted.everything:
            file.seek_last(last)
        elif wanted.since:
            file.seek_since(wanted.since)
    streams = [itertools.chain(file.records(), file.unfinished() if to_the_end else ()) for file in opened]
    found = filter(wanted, merged(streams))
    yield from found if last is None else deque(found, maxlen=last)
