"""Telling the name that was meant from the one that was written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from kubedoctor.errors import ConfigError


def closest(name: str, known: Iterable[str]) -> str:
    """Return the name in *known* that *name* was most likely meant to be, "" if none is near."""
    names = list(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    if name.lower() in lowered:
        return lowered[name.lower()]
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if found:
        return lowered[found[0]]
    # `apiserver` is nearer to `kube-apiserver` for a person than for difflib.
    return next((candidate for candidate in names if name and name.lower() in candidate.lower()), "")


def check_known(name: str, known: Mapping[str, object], option: str) -> None:
    """Raise ConfigError unless *name* is one of *known*; *option* is what it was given to."""
    if name in known:
        return
    meant = closest(name, known)
    raise ConfigError(
        f"{option}: there is no component `{name}`" + (f"; did you mean `{meant}`?" if meant else ""),
        hint="components are " + ", ".join(known),
    )
