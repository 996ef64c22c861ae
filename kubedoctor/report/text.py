"""How durations, sizes and foreign text are written for people."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What could steer a terminal or turn the direction of text; a tab only moves the cursor."""

_STYLES = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
    "dim": "2",
}


def visible(text: str) -> str:
    """Return *text* with what could steer a terminal made visible: `\\x1b[2J` instead of a cleared screen."""
    return _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def duration(seconds: float) -> str:
    """Return how long something has lasted, as precise as people want it: `12 s`, `3 min`, `2 h 14 min`, `5 d 3 h`."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes == 0:
        return f"{whole} s"
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def elapsed(seconds: float) -> str:
    """Return how long something took: `0.3 s`, `1 min 12 s`."""
    if seconds < 59.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s"


def mebibytes(size_bytes: int) -> str:
    """Return an amount of memory: `43 MiB`."""
    return f"{size_bytes / 1024 / 1024:.0f} MiB"


def cells(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(bool(unicodedata.combining(character)) for character in text)


def shortened(text: str, width: int) -> str:
    """Return *text* if it fits into *width* columns, else its beginning and `…`."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[: min(len(text) - 1, width - 1)]
    return f"{text.rstrip()}…" if width > 0 else ""


def styled(text: str, style: str, *, colour: bool) -> str:
    """Return *text* in a style (red, green, yellow, cyan, bold, dim), or as it is when *colour* is off."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour and style and text else text


def wants_colour(stream: TextIO) -> bool:
    """Return whether colours belong on *stream*: a terminal that knows them, and no NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def columns(rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), gap: int = 2) -> list[str]:
    """Return *rows* as lines with aligned columns; the columns of *right* are aligned at their right end.

    A line has no blanks at its end. Rows may hold styled text: escape sequences take no room.
    """
    table = [list(row) for row in rows]
    width = [
        max((_shown(row[n]) for row in table if n < len(row)), default=0)
        for n in range(max(map(len, table), default=0))
    ]
    at_right = frozenset(right)
    lines = []
    for row in table:
        line = ""
        for n, text in enumerate(row):
            blanks = " " * (width[n] - _shown(text))
            line += (blanks + text if n in at_right else text + blanks) + " " * gap
        lines.append(line.rstrip())
    return lines


_STYLE_SEQUENCE = re.compile("\x1b\\[[0-9;]*m")


def _shown(text: str) -> int:
    return cells(_STYLE_SEQUENCE.sub("", text))
