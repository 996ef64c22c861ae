"""The wishes of an `up`, which hold until `down`: a later `up` or `restart` adds to them instead of undoing them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubedoctor.config import options, variables_of
from kubedoctor.configuration.options import PATH_ITEMS, is_path, is_paths
from kubedoctor.configuration.values import absolute, items


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


def anchored(flags: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return options with their paths made absolute, seen from *base*: a later command may run elsewhere."""
    changed = dict(flags)
    for name, given in flags.items():
        if name == "config" or (name in options() and is_path(options()[name])):
            changed[name] = absolute(str(given), base)
        elif name in options() and is_paths(options()[name]):
            changed[name] = tuple(absolute(item, base) for text in given for item in items(text))
        elif name in PATH_ITEMS:
            changed[name] = tuple(_item(name, text, base) for text in given)
    return changed


def anchored_variables(environment: Mapping[str, str], base: Path) -> dict[str, str]:
    """Return variables with their paths made absolute, as `anchored` does."""
    changed = dict(environment)
    for name, field in options().items():
        for variable in variables_of(field):
            text = environment.get(variable, "")
            if text.strip() and is_path(field):
                changed[variable] = absolute(text, base)
            elif text.strip() and is_paths(field):
                changed[variable] = ",".join(absolute(item, base) for item in items(text))
            elif text.strip() and name in PATH_ITEMS:
                changed[variable] = shlex.join(_item(name, item, base) for item in shlex.split(text))
    if file := environment.get("KUBEDOCTOR_CONFIG", ""):
        changed["KUBEDOCTOR_CONFIG"] = absolute(file, base)
    return changed


def _item(name: str, text: str, base: Path) -> str:
    part, path = PATH_ITEMS[name](text, base)
    return f"{part}={path}"
