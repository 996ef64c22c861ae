"""The facts and checks that plugins offer: each is looked at once, so that a bad one is named and left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from kubedoctor.checks import ID, Check, Phase, Severity
from kubedoctor.facts import Fact

T = TypeVar("T", Check, Fact[Any, Any])

_WORDS = ("id", "title", "what", "looks_at", "fix", "needs", "since")
_LISTS = ("seen_as", "of", "requires", "tags", "aliases")


def good_facts(plugin: str, offered: Iterable[object], report: Callable[[str], None]) -> list[Fact[Any, Any]]:
    """Return the facts among what the plugin *plugin* offers; *report* is called with what is wrong with others."""
    return list(_good(offered, lambda fact: _wrong_fact(plugin, fact), report, Fact))


def good_checks(plugin: str, offered: Iterable[object], report: Callable[[str], None]) -> list[Check]:
    """Return the checks among what the plugin *plugin* offers; *report* is called with what is wrong with others."""
    return list(_good(offered, lambda check: _wrong_check(plugin, check), report, Check))


def _good(
    offered: Iterable[object], wrong: Callable[[Any], str], report: Callable[[str], None], kind: type[T]
) -> Iterator[T]:
    word, taken = kind.__name__.lower(), set[str]()
    for one in offered:
        if not isinstance(one, kind):
            report(
                f"{_shown(one)} is not a {word}: its function lacks the decorator `@{word}`, or it is something else"
            )
            continue
        name = one.id if isinstance(one, Check) else one.name
        problem = wrong(one) or ("its id is taken by another one" if name in taken else "")
        if problem:
            report(f"{word} {name if isinstance(name, str) else _shown(name)}: left out: {problem}")
            continue
        taken.add(name)
        yield one


def _wrong_fact(plugin: str, fact: Fact[Any, Any]) -> str:
    return _wrong_name(plugin, fact.name) or ("" if callable(fact.gather) else "`gather` is no function")


def _wrong_check(plugin: str, check: Check) -> str:
    for field in _WORDS:
        if not isinstance(getattr(check, field), str):
            return f"`{field}` is not text"
    for field in _LISTS:
        value = getattr(check, field)
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            return f"`{field}` is not a tuple of texts"
    if not isinstance(check.phases, tuple) or not all(isinstance(phase, Phase) for phase in check.phases):
        return "`phases` is not a tuple of phases"
    if not check.phases:
        return "`phases` is empty, so it would never run"
    if not isinstance(check.severity, Severity):
        return "`severity` is not a Severity"
    if not isinstance(check.deadline, (int, float)) or not 0 < check.deadline < math.inf:
        return "`deadline` is not a number of seconds above 0"
    if not callable(check.run):
        return "`run` is no function"
    return _wrong_name(plugin, check.id)


def _wrong_name(plugin: str, name: object) -> str:
    if not isinstance(name, str) or not ID.fullmatch(name):
        return "not <plugin>.<word> in lower-case words joined by `-`"
    owner = name.partition(".")[0]
    return "" if owner == plugin else f"`{owner}` is another plugin; it has to begin with `{plugin}.`"


def _shown(one: object) -> str:
    """Return *one* short enough for a line; it may be anything, its `repr` included."""
    try:
        text = " ".join(repr(one).split())
    except Exception:
        text = f"a {type(one).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
