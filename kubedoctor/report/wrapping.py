"""Text in lines that fit; a word that is longer than a line stays whole, so that a path can be copied."""

from __future__ import annotations

from kubedoctor.report.text import cells, visible

WIDEST = 120
"""Columns that are used at most: in a wider line the eye does not find what stands at its end."""

NARROWEST = 40
"""Columns that are used at least: fewer hold no id of a check."""


def wrapped(text: str, width: int, *, first: str = "", later: str | None = None) -> list[str]:
    """Return *text* as lines of at most *width* columns that begin with *first* and, after the first, with *later*.

    Blanks of any kind become one blank; *later* defaults to blanks under *first*. There is at least one line.
    """
    later = " " * cells(first) if later is None else later
    lines, line, is_empty = list[str](), first, True
    for word in map(visible, text.split()):
        if not is_empty and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, is_empty = later, True
        line += word if is_empty else f" {word}"
        is_empty = False
    return [*lines, line.rstrip()]
