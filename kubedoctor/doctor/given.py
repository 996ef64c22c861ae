"""Facts that are given instead of gathered: what a test says a machine is like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubedoctor.doctor.look import SharedLook, positional
from kubedoctor.facts import Fact, FactError, Look, NotRecorded
from kubedoctor.jsonform import from_json, to_json

Given = Mapping[Any, Any]
"""`fact: value` for a fact without arguments, `(fact, argument, …): value` for others; a FactError for a value is
raised when the fact is asked for."""


class FakeLook(SharedLook):
    """A Look that knows what it is given. Facts that are derived from others (`recorded=False`) are derived.

    Any other fact is NotRecorded, as it would be in a recording that lacks it. A value that would not come back from
    a recording as it is raises TypeError at once.
    """

    def __init__(self, facts: Given, *, now: float = 0.0) -> None:
        super().__init__(_source(facts), now=now)


def _source(facts: Given) -> Any:
    known = {}
    for name, value in facts.items():
        fact, *arguments = name if isinstance(name, tuple) else (name,)
        if not isinstance(fact, Fact):
            raise TypeError(f"{fact!r} is no fact: give `fact` or `(fact, argument, …)`")
        key = fact.key(positional(fact, tuple(arguments), {}))
        if not isinstance(value, FactError):
            _insist_on_json_form(key, fact, value)
        known[key] = value

    def source(look: Look, fact: Fact[Any, Any], arguments: tuple[object, ...], key: str) -> Any:
        if key in known:
            if isinstance(known[key], FactError):
                raise known[key]
            return known[key]
        if not fact.recorded:
            return fact.gather(look, *arguments)
        raise NotRecorded(f"{key} is not given")

    return source


def _insist_on_json_form(key: str, fact: Fact[Any, Any], value: object) -> None:
    try:
        back = from_json(fact.kind, json.loads(json.dumps(to_json(value))))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{key}: {error}") from None
    if back != value:
        raise TypeError(f"{key}: {value!r} would come back from a recording as {back!r}")
