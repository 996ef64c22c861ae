"""The JSON form of our dataclasses: to it, from it, and its schema.

Field names stay as they are; a `Path` is a string, an enum its value, a tuple a list, a set a sorted list. A key that a
reader does not know is ignored, so an older kubedoctor reads a newer document of the same `schema_version`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: object) -> Any:
    """Return *value* as what `json.dumps` takes."""
    if value is None or type(value) in (str, int, bool):  # nearly everything: the keeper writes its state often
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {_key_to_json(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((to_json(item) for item in value), key=str)  # the same in every run
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")  # json.dumps would write what no other reader takes
    if isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _key_to_json(key: object) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} has no JSON form")  # as a string it would come back as another key
    return key


def from_json(kind: type[T], data: object) -> T:
    """Return the *kind* that *data* describes; raise ValueError naming the first place that does not fit."""
    return typing.cast("T", _read(kind, data, _name(kind)))


def _read(kind: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any or kind is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _read_union(typing.get_args(kind), data, where)
    if origin in (tuple, list, Sequence):
        return _read_sequence(kind, data, where)
    if origin in (set, frozenset):
        return origin(_read_sequence(types.GenericAlias(list, typing.get_args(kind)), data, where))
    if origin in (dict, Mapping):
        return _read_mapping(kind, data, where)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast("type[Any]", kind), data, where)
    return _read_scalar(kind, data, where)


def _read_scalar(kind: Any, data: Any, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError:
            raise ValueError(f"{where}: {_found(data)} is none of {', '.join(str(m.value) for m in kind)}") from None
    if kind is Path and isinstance(data, str):
        return Path(data)
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return _read_number(data, where)
    if isinstance(kind, type) and isinstance(data, kind) and not (kind is int and isinstance(data, bool)):
        return data
    raise _misfit(where, _name(kind), data)


def _read_number(data: float, where: str) -> float:
    try:
        number = float(data)
    except OverflowError:  # an integer that is too large
        number = math.inf
    if not math.isfinite(number):  # json.loads takes NaN and Infinity, which JSON has not
        raise _misfit(where, "a number", data)
    return number


def _read_mapping(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _misfit(where, "an object", data)
    key_kind, item = typing.get_args(kind)
    return {_read(key_kind, key, where): _read(item, value, f"{where}.{key}") for key, value in data.items()}


def _read_sequence(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, list):
        raise _misfit(where, "a list", data)
    kinds = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and kinds[-1] is not Ellipsis:
        if len(data) != len(kinds):
            raise ValueError(f"{where}: expected {len(kinds)} items, found {len(data)}")
    else:
        kinds = (kinds[0],) * len(data)
    items = [
        _read(item, value, f"{where}[{index}]") for index, (item, value) in enumerate(zip(kinds, data, strict=True))
    ]
    return items if typing.get_origin(kind) is list else tuple(items)


def _read_union(kinds: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in kinds:
        return None
    problems = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _read(kind, data, where)
        except ValueError as problem:
            problems.append(str(problem))
    if len(problems) == 1:
        raise ValueError(problems[0])
    raise ValueError(f"{where}: expected {' or '.join(map(_name, kinds))}, found {_found(data)}")


def _read_dataclass(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _misfit(where, "an object", data)
    hints = _hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _read(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: {field.name} is missing")
    return kind(**values)


def _name(kind: Any) -> str:
    names = {str: "a string", Path: "a path", int: "an integer", float: "a number", bool: "true or false"}
    if kind is type(None):
        return "null"
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def _misfit(where: str, expected: str, data: object) -> ValueError:
    return ValueError(f"{where}: expected {expected}, found {_found(data)}")


def _found(data: object) -> str:
    """Return what stands there, short enough for one line."""
    if isinstance(data, (dict, list)):
        return "an object" if isinstance(data, dict) else "a list"
    text = repr(data)
    return text if len(text) <= 60 else f"{text[:57]}..."


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a dataclass."""
    definitions: dict[str, Any] = {}
    top = _schema(kind, definitions)
    name = top["$ref"].rpartition("/")[2]
    body = definitions.pop(name)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **body}
    return {**document, "$defs": dict(sorted(definitions.items()))} if definitions else document


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return {}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(argument, definitions) for argument in arguments]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        items = [_schema(argument, definitions) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (tuple, list, Sequence, set, frozenset):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if dataclasses.is_dataclass(kind):
        cls = typing.cast("type[Any]", kind)
        if cls.__name__ not in definitions:
            definitions[cls.__name__] = {}  # a placeholder: the type may hold itself
            definitions[cls.__name__] = _dataclass_schema(cls, definitions)
        return {"$ref": f"#/$defs/{cls.__name__}"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    names = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return {"type": names[kind]}


def _dataclass_schema(kind: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    hints = _hints(kind)
    fields = dataclasses.fields(kind)
    required = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    body: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _schema(hints[field.name], definitions) for field in fields},
    }
    summary = (kind.__doc__ or "").strip().splitlines()
    if summary:
        body["description"] = summary[0]
    if required:
        body["required"] = required
    return body
