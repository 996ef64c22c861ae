"""The wishes of an `up`, which hold until `down`: a later `up` or `restart` adds to them instead of undoing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubedoctor.config import options


def honoured(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say something about a cluster; never those of the machine or of other programs."""
    names = {name for field in options().values() for name in field.metadata["env"]}
    ours = ("KUBEDOCTOR_HOME", "KUBEDOCTOR_PLUGINS", "KUBEDOCTOR_INSTANCE")
    return {
        name: value
        for name, value in environment.items()
        if name in names or (name.startswith("KUBEDOCTOR_") and name not in ours)
    }


def added(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an earlier `up` with those of now: the same option replaces, keys of a mapping add up."""
    merged = {name: tuple(value) if isinstance(value, list) else value for name, value in earlier.items()}
    for name, value in now.items():
        if name in merged and _is_mapping(name):
            merged[name] = (*merged[name], *value)
        else:
            merged[name] = value
    return merged


def _is_mapping(name: str) -> bool:
    field = options().get(name)
    return field is not None and str(field.type).startswith("Mapping")
