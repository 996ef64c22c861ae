"""What is shown while binaries are fetched and built: one line that changes, or a few lines for the log of CI."""

from __future__ import annotations

import shutil
import time
from typing import Self, TextIO

from kubedoctor.report.text import shortened, visible

_QUIET_SECONDS = 5.0  # without a terminal, between two lines about the same thing


class FetchLines:
    """Shows on *stream* how far each binary is, as `kubedoctor.cluster.binaries.Progress` tells it.

    With *live* the last line changes in place and is gone at the end. Without, a line is written when something begins
    and then every few seconds. Use it as a context, or call `close`.
    """

    def __init__(self, stream: TextIO, live: bool) -> None:
        self._stream = stream
        self._live = live
        self._now: dict[str, str] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, name: str, text: str, done: int = 0, total: int = 0) -> None:
        """Take notice of one report."""
        text = visible(text)
        if not total and text.startswith("passed over "):
            self._keep(f"{name}: {text}")
            return
        self._now[name] = text
        if total and done >= total:
            del self._now[name]
            self._keep(f"{name}: {text}")
        elif self._live:
            self._draw()
        elif time.monotonic() - self._told.get(name, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[name] = time.monotonic()
            self._write(f"  {name}: {text}\n")

    def close(self) -> None:
        """Take the changing line away."""
        self._now.clear()
        if self._live:
            self._write("\r\x1b[K")

    def _keep(self, line: str) -> None:
        self._write(f"\r\x1b[K  {line}\n" if self._live else f"  {line}\n")
        if self._live:
            self._draw()

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns
        line = "  ".join(f"{name} {text}" for name, text in self._now.items())
        self._write(f"\r\x1b[K{shortened(f'  {line}', width - 1)}" if line else "")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
