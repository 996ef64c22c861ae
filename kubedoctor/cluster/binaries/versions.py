"""Versions as binaries tell them and as people wish for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from kubedoctor.errors import UsageError

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


def fill(template: str, version: str) -> str:
    """Return *template* of a recipe with `{version}`, `{number}`, `{major}` and `{minor}` of *version* filled in."""
    parsed = Version.parse(version) or Version(0, 0)
    words = {
        "version": version,
        "number": version.removeprefix("v"),
        "major": str(parsed.major),
        "minor": str(parsed.minor),
    }
    return re.sub("{(version|number|major|minor)}", lambda found: words[found[1]], template)


@dataclass(frozen=True, slots=True)
class Wish:
    """What `--kubernetes` asks for: nothing, an exact version, any patch of a minor version, or the newest there is."""

    version: Version | None = None
    any_patch: bool = False
    latest: bool = False

    @classmethod
    def parse(cls, text: str) -> Wish:
        """Return the wish in *text*; raise UsageError when it is none."""
        text = text.strip()
        if not text:
            return cls()
        if text == "latest":
            return cls(latest=True)
        version = Version.parse(text)
        if version is None:
            raise UsageError(
                f"`{text}` is not a Kubernetes version",
                hint="write an exact one (1.37.2), a minor one (1.36), or latest",
            )
        return cls(version, any_patch=re.fullmatch(r"v?\d+\.\d+", text) is not None)

    def met_by(self, version: Version) -> bool:
        """Return whether *version* is known to be what is asked for; of the newest that has to be looked up first."""
        if self.version is None:
            return not self.latest
        return version.line == self.version.line if self.any_patch else version == self.version

    def __bool__(self) -> bool:
        return self.latest or self.version is not None

    def __str__(self) -> str:
        if self.latest or self.version is None:
            return "latest" if self.latest else "any version"
        return f"v{self.version.major}.{self.version.minor}" if self.any_patch else str(self.version)


def suits(kubernetes: Version | None, limits: str) -> bool:
    """Return whether *kubernetes* lies in *limits*: `1.34-1.36`, `1.37-`, `-1.33`, `1.30`; empty ones hold all.

    Raise ValueError for limits that are none of these.
    """
    if not limits:
        return True
    low, dash, high = limits.partition("-")
    first, last = Version.parse(low), Version.parse(high if dash else low)
    if (low and first is None) or (high and last is None) or (first is None and last is None):
        raise ValueError(f"`{limits}` is no range of Kubernetes versions")
    if kubernetes is None or not kubernetes.stamped:
        return True
    return (first is None or kubernetes.line >= first.line) and (last is None or kubernetes.line <= last.line)
