"""Sizes and lists in words."""

from __future__ import annotations

from collections.abc import Iterable

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """Return bytes in words, with two or three digits that count: 61.4 MiB, 512 KiB."""
    power = 0
    while round(count) >= 1024 and power < len(_UNITS) - 1:
        count /= 1024
        power += 1
    return f"{count:.0f} {_UNITS[power]}" if count >= 100 else f"{count:.3g} {_UNITS[power]}"


def listed(items: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last
