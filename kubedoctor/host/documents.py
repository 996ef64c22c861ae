"""YAML and JSON written by anybody, read with limits: depth, size, and what aliases would blow up.

Events are turned into plain values here, so no tag makes an object and no recursion follows the nesting. What comes out
are the values Kubernetes' own reader (sigs.k8s.io/yaml) makes of them: the last of two equal keys counts, `<<` merges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from kubedoctor.facts import Malformed

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

DEPTH = 60
VALUES = 100_000
"""Values of one document, those that aliases repeat counted each time."""

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"}
_FALSE = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(
    r"[-+]?([0-9]{1,300}\.[0-9]{0,300}|\.[0-9]{1,300})([eE][-+]?[0-9]{1,3})?|[-+]?[0-9]{1,18}[eE][-+]?[0-9]{1,3}"
)


def parse_document(content: bytes, what: str) -> Value:
    """Return the first document of YAML or JSON text, None for an empty one; raise Malformed, naming *what*.

    The reason says where it does not fit, and nothing of what stands there: it may be a secret.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise Malformed(f"{what} is not text in UTF-8: line {line}") from None
    if text.lstrip().startswith("{"):
        try:
            return _checked(json.loads(text), what)
        except (ValueError, RecursionError):
            pass  # a flow mapping of YAML begins like that too
    return _Builder(what).build(text)


def _checked(value: Any, what: str) -> Value:
    """Return *value* of JSON when it keeps to the limits."""
    waiting, seen = [(value, 1)], 0
    while waiting:
        one, depth = waiting.pop()
        seen += 1
        _limit(what, depth, seen)
        if isinstance(one, dict | list):
            waiting += [(item, depth + 1) for item in (one.values() if isinstance(one, dict) else one)]
    checked: Value = value
    return checked


def _limit(what: str, depth: int, values: int) -> None:
    if depth > DEPTH:
        raise Malformed(f"{what} is nested deeper than {DEPTH} levels")
    if values > VALUES:
        raise Malformed(f"{what} has more than {VALUES} values")


class _Builder:
    """Makes values from events. What is open stands on a stack, so nesting costs no recursion."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._values = 0
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._open: list[_Open] = []

    def build(self, text: str) -> Value:
        import yaml

        try:
            for event in _events(text):
                match event:
                    case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                        self._begin(event)
                    case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                        done = self._open.pop()
                        self._add(done.value, done.anchor, self._values - done.before, counted=True)
                    case yaml.ScalarEvent():
                        is_key = bool(self._open) and self._open[-1].wants_key
                        self._add(event.value if is_key else _scalar(event), event.anchor, 1)
                    case yaml.AliasEvent():
                        self._alias(event)
                    case yaml.DocumentEndEvent():
                        return self._root
        except yaml.MarkedYAMLError as problem:
            line = "" if problem.problem_mark is None else f": line {problem.problem_mark.line + 1}"
            raise Malformed(f"{self._what} is not YAML{line}") from None
        except yaml.YAMLError:
            raise Malformed(f"{self._what} is not YAML: it has a character that text does not have") from None
        return None

    _root: Value = None

    def _begin(self, event: Any) -> None:
        self._values += 1
        self._open.append(_Open({} if _is_mapping(event) else [], event.anchor, self._values - 1))
        _limit(self._what, len(self._open), self._values)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise Malformed(f"{self._what} has an alias without its anchor: line {event.start_mark.line + 1}")
        value, size = self._anchors[event.anchor]
        self._add(value, None, size)

    def _add(self, value: Value, anchor: str | None, size: int, *, counted: bool = False) -> None:
        if not counted:
            self._values += size
            _limit(self._what, len(self._open), self._values)
        if anchor:
            self._anchors[anchor] = (value, size)
        if self._open:
            self._open[-1].add(value, self._what)
        else:
            self._root = value


class _Open:
    """A mapping or list that is being filled."""

    def __init__(self, value: dict[str, Value] | list[Value], anchor: str | None, before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.before = before
        self._key: str | None = None
        self._own: set[str] = set()

    @property
    def wants_key(self) -> bool:
        """Whether what comes next is a key, which is text however it looks."""
        return isinstance(self.value, dict) and self._key is None

    def add(self, value: Value, what: str) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self._key is None:
            if not isinstance(value, str):
                raise Malformed(f"{what} has a key that is no text")
            self._key = value
        else:
            self._put(self.value, self._key, value)
            self._key = None

    def _put(self, mapping: dict[str, Value], key: str, value: Value) -> None:
        if key != "<<":
            self._own.add(key)
            mapping[key] = value
            return
        for merged in value if isinstance(value, list) else [value]:
            for name, item in merged.items() if isinstance(merged, dict) else ():
                if name not in self._own:
                    mapping.setdefault(name, item)


def _is_mapping(event: Any) -> bool:
    import yaml

    return isinstance(event, yaml.MappingStartEvent)


def _events(text: str) -> Iterator[Any]:
    import yaml

    yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _scalar(event: Any) -> Value:
    text: str = event.value
    if not event.implicit[0]:  # quoted, a block, or with a tag
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def mapping(value: Value) -> dict[str, Value]:
    """Return *value* if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def at(value: Value, *path: str) -> Value:
    """Return what stands under the keys of *path*; None where there is nothing."""
    for key in path:
        value = mapping(value).get(key)
    return value
