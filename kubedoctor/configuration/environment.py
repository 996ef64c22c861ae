"""The environment as a layer: KUBEDOCTOR_<FIELD>, then the names of local-up-cluster.sh, and what became of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field
from functools import cache
from pathlib import Path
from typing import Any

from kubedoctor.config import flag_of, options, variables_of
from kubedoctor.configuration.options import is_mapping, put_text
from kubedoctor.configuration.values import Layer, Setting, closest, shown
from kubedoctor.configuration.variables import CONFUSED, GONE, NODE, NODE_NOTE, OWN, SILENT
from kubedoctor.errors import ConfigError


@cache
def option_variables() -> Mapping[str, str]:
    """Return the option each variable belongs to."""
    return {variable: name for name, field in options().items() for variable in variables_of(field)}


def known_variables() -> frozenset[str]:
    """Return every variable that means, or once meant, something."""
    return frozenset(option_variables()) | NODE | GONE.keys() | SILENT | OWN


def environment_layer(env: Mapping[str, str], base: Path) -> Layer:
    """Return what the environment says. An empty variable counts as not set, as it does for local-up-cluster.sh.

    A value that cannot be read becomes the setting's `problem`; it is raised only if nothing above sets the option.
    """
    layer = Layer()
    for name, field in options().items():
        present = [variable for variable in variables_of(field) if env.get(variable, "").strip()]
        if not present:
            continue
        if is_mapping(field):
            for variable in reversed(present):
                part = Layer()
                put_text(part, name, env[variable], f"environment {variable}", base)
                layer.settings.update(part.settings)
        else:
            _put(layer, field, present[0], env, base)
        layer.notes += _contradictions(field, present, env)
    layer.notes += [f"{name} has no meaning here: {GONE[name]}" for name in sorted(GONE) if name in env]
    if of_node := sorted(name for name in NODE if env.get(name, "").strip()):
        layer.notes.append(f"{', '.join(of_node)}: {NODE_NOTE}")
    layer.notes += near_misses(env)
    return layer


def _put(layer: Layer, field: Field[Any], variable: str, env: Mapping[str, str], base: Path) -> None:
    origin = f"environment {variable}"
    part = Layer()
    try:
        put_text(part, field.name, env[variable], origin, base)
    except ConfigError as problem:
        mended = ConfigError(problem.message, hint=problem.hint or _way_out(field, variable))
        layer.settings[field.name,] = Setting(None, origin, mended)
    else:
        for key, setting in part.settings.items():
            layer.put(key, setting.value, setting.origin)


def _way_out(field: Field[Any], variable: str) -> str:
    flag = flag_of(field).partition("/")[0]
    own = variables_of(field)[0]
    if variable == own:
        return f"unset {variable}"
    return f"if {variable} is meant for another program, set {own}{f' or give {flag}' if flag else ''}"


def _contradictions(field: Field[Any], present: list[str], env: Mapping[str, str]) -> list[str]:
    """Return a note when two of the script's names for one thing differ; KUBEDOCTOR_<FIELD> may differ as it likes."""
    names = [variable for variable in present if variable in field.metadata["env"]]
    if len(names) < 2 or env[names[0]].strip() == env[names[1]].strip() or present[0] != names[0]:
        return []
    taken, left = names[:2]
    return [
        f"{taken} is {shown(env[taken])}, {left} is {shown(env[left])}: {taken} is taken, as by local-up-cluster.sh"
    ]


# Names this alike or one slip apart are taken for ours. Of some 400 names that desktops, CI systems, container engines
# and Kubernetes put into environments, none that means something else comes as near.
LIKENESS = 0.93


def near_misses(env: Mapping[str, str]) -> list[str]:
    """Return a note for each variable that is almost one of ours, such as FEATURE_GATE."""
    known = known_variables()
    readable = sorted(set(option_variables()) | NODE)
    strangers = sorted(name for name in env if name not in known and _looks_like_ours(name))
    meant = ((name, CONFUSED.get(name) or _meant(name, readable)) for name in strangers)
    return [f"{name} is not read: did you mean {other}?" for name, other in meant if other]


def _looks_like_ours(name: str) -> bool:
    return name.isupper() and name.isascii() and "_" in name


def _meant(name: str, readable: Iterable[str]) -> str:
    if name.startswith("KUBEDOCTOR_"):  # ours for certain, so a farther guess is right
        return closest(name, (known for known in readable if known.startswith("KUBEDOCTOR_")), cutoff=0.8)
    alike = [known for known in readable if known[:2] == name[:2] and abs(len(known) - len(name)) <= 2]
    return closest(name, alike, LIKENESS) or next((known for known in alike if _one_slip_apart(known, name)), "")


def _one_slip_apart(known: str, name: str) -> bool:
    """Return whether one letter was left out, doubled, mistaken, or swapped with its neighbour."""
    start = next((i for i, (a, b) in enumerate(zip(known, name, strict=False)) if a != b), min(len(known), len(name)))
    rest, other = known[start:], name[start:]
    swapped = rest[1::-1] + rest[2:] if len(rest) > 1 else rest
    return other in (rest[1:], swapped) or other[1:] in (rest, rest[1:])
