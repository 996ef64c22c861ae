"""TOML written by anybody, read with limits."""

from __future__ import annotations

import tomllib

from kubedoctor.facts import Malformed
from kubedoctor.host.documents import Value
from kubedoctor.host.errors import printable

_WORK = 4_000_000
"""The squares of how many dots each line has, all together. A key stands on one line, and tomllib's time grows with the
square of its parts: these take 0.1 s, one of 20 000 parts 20 s."""


def parse_toml(content: bytes, path: str) -> dict[str, Value]:
    """Return a document of TOML; raise Malformed, without a word of its content."""
    what = printable(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not text in UTF-8") from None
    if sum(line.count(".") ** 2 for line in text.split("\n")) > _WORK:
        raise Malformed(f"{what} is nested deeper than any configuration")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        where = str(problem).rpartition(" (at ")[2]
        raise Malformed(f"{what} is not TOML: {printable(where.rstrip(')'))}") from None
    except (ValueError, RecursionError):  # of numbers and dates it takes too lightly, of what is nested too deeply
        raise Malformed(f"{what} is not TOML") from None
