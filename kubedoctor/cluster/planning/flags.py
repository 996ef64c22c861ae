"""From flags to argv: what the binary does not know is left out, unless the user asked for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from kubedoctor.cluster.planning.names import closest
from kubedoctor.components import Component, FlagValue
from kubedoctor.errors import PlanError


def arguments(flags: Mapping[str, FlagValue]) -> list[str]:
    """Return *flags* as words of a command line, in their order."""
    return [text for name, value in flags.items() if (text := argument(name, value))]


def argument(name: str, value: FlagValue) -> str:
    """Return one flag as a word of a command line, "" when it is omitted."""
    if value is None:
        return ""
    if value is True:
        return f"--{name}"
    return f"--{name}={'false' if value is False else value}"


def drop_unknown(
    component: Component,
    known: frozenset[str],
    user_set: AbstractSet[str],
    *,
    version: str,
    refuses: Callable[[list[str]], str | None] | None = None,
) -> tuple[Component, list[str]]:
    """Return the component without flags its binary does not know, and a line for each that had a value.

    *known* empty means that nothing is known of the binary: nothing is dropped. What the user set is never dropped:
    help does not list deprecated flags that still work, so the binary itself is asked (*refuses*) and PlanError raised
    when it says no.
    """
    if not known:
        return component, []
    notes: list[str] = []
    kept: dict[str, FlagValue] = {}
    for flag, value in component.flags.items():
        if value is None or flag in known:
            kept[flag] = value
        elif flag in user_set:
            if refuses is None or refuses([argument(flag, value)]) is not None:
                raise _unknown(component, flag, known, version)
            kept[flag] = value
        else:
            notes.append(f"{component.name} {version} has no --{flag}: left out ({argument(flag, value)})")
    return replace(component, flags=kept), notes


def _unknown(component: Component, flag: str, known: frozenset[str], version: str) -> PlanError:
    binary = f"{component.binary} {version}".strip()
    meant = closest(flag, sorted(known))
    return PlanError(
        f"{binary} has no flag --{flag}",
        hint=f"did you mean --{meant}?" if meant else f"`{component.binary} --help` lists its flags",
    )


def check_values(component: Component, user_set: AbstractSet[str], refuses: Callable[[list[str]], str | None]) -> None:
    """Raise PlanError when the binary refuses its command line because of what the user set."""
    wished = {flag: text for flag in user_set if (text := argument(flag, component.flags.get(flag)))}
    if not wished:
        return
    problem = refuses(arguments(component.flags))
    if problem is None:
        return
    blamed = [flag for flag in wished if re.search(rf"-{re.escape(flag)}(?![\w-])", problem)] or sorted(wished)
    culprits = " ".join(wished[flag] for flag in blamed)
    raise PlanError(
        f"{component.name} refuses {culprits}: {problem}", hint=f"`{component.binary} --help` tells what it takes"
    )
