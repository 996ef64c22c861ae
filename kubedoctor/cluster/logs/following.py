"""Following logs: what is written is shown when it is, whatever happens to the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from kubedoctor.cluster.logs.merging import Wanted, merged, read_files
from kubedoctor.cluster.logs.reading import LogFile
from kubedoctor.cluster.logs.records import Record
from kubedoctor.host.inotify import CREATE, DELETE, MODIFY, MOVED_FROM, MOVED_TO, Inotify

_POLL_SECONDS = 0.5
"""How often files are looked at where the kernel has no inotify instance left for us."""


def follow(
    logs: Callable[[], Mapping[str, Path]], wanted: Wanted, *, last: int | None = None, tell: Callable[[str], None]
) -> Iterator[Record | None]:
    """Yield the wanted records, then those that are written, for ever; None whenever there is nothing more for now.

    Truncated and replaced files are gone on with, and *logs* is asked again when a file is made: a component may be
    new. *tell* is given a line when the kernel cannot tell of changes.
    """
    files = {path: LogFile(component, path) for component, path in logs().items()}
    try:
        with _Watch(tell) as watch:
            watch.directories({path.parent for path in files})  # before the first read: nothing falls in between
            yield from read_files(list(files.values()), wanted, last=last, to_the_end=False)
            while True:
                yield None
                if watch.wait():
                    for component, path in logs().items():
                        files.setdefault(path, LogFile(component, path))
                    watch.directories({path.parent for path in files})
                yield from filter(wanted, merged([_new(file) for file in files.values()]))
    finally:
        for file in files.values():
            file.close()


def _new(file: LogFile) -> Iterator[Record]:
    """Yield what was written since the last look; the rest of an old file comes before the one that replaced it."""
    file.was_truncated()
    yield from file.records()
    if file.was_replaced():
        yield from file.unfinished()
        if file.open():
            yield from file.records()


class _Watch:
    """Waits until something in some directories changes."""

    _MASK = MODIFY | CREATE | MOVED_TO | MOVED_FROM | DELETE

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._watched: set[Path] = set()
        self._inotify: Inotify | None = None
        try:
            self._inotify = Inotify()
        except OSError as problem:
            self._give_up(problem)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def directories(self, directories: set[Path]) -> None:
        """Watch these directories; one that is not there (yet) is left out."""
        for directory in directories - self._watched:
            if self._inotify is not None and directory.is_dir():
                try:
                    self._inotify.watch(directory, self._MASK)
                except OSError as problem:
                    self._give_up(problem)
                self._watched.add(directory)

    def wait(self) -> bool:
        """Wait for a change; return whether files may have been made or replaced."""
        if self._inotify is None:
            time.sleep(_POLL_SECONDS)
            return True
        return any(change.mask & ~MODIFY for change in self._inotify.wait())

    def _give_up(self, problem: OSError) -> None:
        self._tell(f"the kernel cannot tell of new lines, so files are looked at twice a second: inotify: {problem}")
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
