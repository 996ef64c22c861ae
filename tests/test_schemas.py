"""The published JSON Schemas and our own reader agree on what a document is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import DOCUMENTS, JSON, values_of

from kubedoctor.jsonform import from_json, schema, to_json

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def accepts(rule: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Return whether the schema *rule* accepts *value*: as much of JSON Schema as we write."""
    if "$ref" in rule:
        return accepts(root["$defs"][rule["$ref"].removeprefix("#/$defs/")], value, root)
    if "anyOf" in rule:
        return any(accepts(one, value, root) for one in rule["anyOf"])
    if "enum" in rule:
        return value in rule["enum"]
    if "type" not in rule:
        return True
    if not isinstance(value, TYPES[rule["type"]]) or (isinstance(value, bool) and rule["type"] != "boolean"):
        return False
    if isinstance(value, list):
        return all(accepts(rule["items"], item, root) for item in value)
    if isinstance(value, dict):
        properties = rule.get("properties", {})
        other = rule.get("additionalProperties", {})
        return all(key in value for key in rule.get("required", [])) and all(
            accepts(properties.get(key, other), item, root) for key, item in value.items()
        )
    return True


def damaged(document: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for *document* with one of its values replaced or left out."""

    @st.composite
    def one(draw: st.DrawFn) -> Any:
        copy = json.loads(json.dumps(document))
        node = copy
        while True:
            key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
            inner = node[key]
            if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
                node = inner
                continue
            if isinstance(node, dict) and draw(st.booleans()):
                del node[key]
            else:
                node[key] = draw(JSON)
            return copy

    return one()


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_the_schema_accepts_what_we_write(kind: type[Any]) -> None:
    rules = schema(kind)

    @settings(max_examples=20, deadline=None)
    @given(values_of(kind))
    def accepted(document: Any) -> None:
        assert accepts(rules, to_json(document), rules)

    accepted()


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_what_the_schema_accepts_we_can_read_and_nothing_else(kind: type[Any]) -> None:
    rules = schema(kind)

    @settings(max_examples=30, deadline=None)
    @given(values_of(kind).flatmap(lambda document: damaged(to_json(document))))
    def agreed(data: Any) -> None:
        try:
            from_json(kind, data)
            readable = True
        except ValueError:
            readable = False
        assert readable == accepts(rules, data, rules)

    agreed()
