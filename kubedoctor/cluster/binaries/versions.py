"""Versions as binaries tell them and as people wish for them."""

from __future__ import annotations

import re

from kubedoctor.errors import UsageError
from kubedoctor.records import dataclass
from kubedoctor.versions import Version, mentioned

__all__ = ["Version", "Wish", "fill", "mentioned", "suits"]


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
