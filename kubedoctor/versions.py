"""Versions, as binaries tell them and servers report them."""

from __future__ import annotations

import re
from functools import total_ordering

from kubedoctor.records import dataclass

_NUMBERS = r"v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:\.(0|[1-9]\d{0,5}))?"
_VERSION = re.compile(_NUMBERS + r"(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII)
_MENTIONED = re.compile(r"(?<![\w.])v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version. Two that differ only after `+` are equal: that part names a build, not a version."""

    major: int
    minor: int
    patch: int = 0
    pre: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Return the version that *text* is (`v1.37.2`, `3.7.3`, `1.38.0-alpha.1.5+abc-dirty`), or None."""
        found = _VERSION.fullmatch(text.strip())
        if not found:
            return None
        major, minor, patch, pre, build = found.groups()
        if pre == "dirty":  # v1.37.2-dirty is that release with changes, not something before it
            pre, build = None, "dirty"
        return cls(int(major), int(minor), int(patch or 0), pre or "", build or "")

    @property
    def line(self) -> tuple[int, int]:
        """Major and minor: what Kubernetes' skew rules look at."""
        return (self.major, self.minor)

    @property
    def stamped(self) -> bool:
        """Whether this is a version at all: `go build` without link flags gives v0.0.0-master."""
        return self.line != (0, 0)

    def _order(self) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
        parts = self.pre.split(".") if self.pre else []
        # As semver orders them: numbers by value and before words.
        numbers = tuple((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts)
        return (self.major, self.minor, self.patch, not self.pre, numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._order() == other._order()

    def __lt__(self, other: Version) -> bool:
        return self._order() < other._order()

    def __hash__(self) -> int:
        return hash(self._order())

    def __str__(self) -> str:
        text = f"v{self.major}.{self.minor}.{self.patch}"
        return text + (f"-{self.pre}" if self.pre else "") + (f"+{self.build}" if self.build else "")


def mentioned(text: str) -> str:
    """Return the first full version in *text*, with a leading `v`; empty when there is none."""
    found = _MENTIONED.search(text)
    return f"v{found[0].lstrip('v')}" if found else ""
