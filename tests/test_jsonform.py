"""The JSON form of our documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import DOCUMENTS, JSON, values_of

from kubedoctor import components
from kubedoctor.cluster import documents
from kubedoctor.jsonform import from_json, schema, to_json

FEW = settings(max_examples=30, deadline=None)  # there are many documents; no time limit on a busy machine


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_every_document_comes_back_from_its_json_as_it_was(kind: type[Any]) -> None:
    @FEW
    @given(values_of(kind))
    def comes_back(document: Any) -> None:
        assert from_json(kind, json.loads(json.dumps(to_json(document), allow_nan=False))) == document

    comes_back()


@pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.__name__)
def test_what_does_not_fit_is_a_value_error_and_nothing_else(kind: type[Any]) -> None:
    @FEW
    @given(JSON)
    def never_crashes(data: Any) -> None:
        problem = ""
        try:
            from_json(kind, data)
        except ValueError as error:
            problem = str(error)
        assert not problem or problem.startswith(kind.__name__)
        assert len(problem.splitlines()) <= 1

    never_crashes()


class Plain(Enum):
    ONE = 1


@dataclass(frozen=True)
class Everything:
    pair: tuple[int, str] = (0, "")
    many: list[int] | None = None
    path: Path = Path()
    by_name: Mapping[str, float] | None = None
    one: Plain = Plain.ONE
    choice: str | int | bool | None = None


def test_a_list_stays_a_list_and_a_pair_a_pair() -> None:
    value = Everything(pair=(1, "a"), many=[1, 2], path=Path("/x"), by_name={"a": 1.5})
    assert to_json(value) == {
        "pair": [1, "a"],
        "many": [1, 2],
        "path": "/x",
        "by_name": {"a": 1.5},
        "one": 1,
        "choice": None,
    }
    assert from_json(Everything, to_json(value)) == value


@pytest.mark.parametrize("value", [True, False, 0, 1, "1", "", None])
def test_a_flag_keeps_its_type(value: object) -> None:
    read = from_json(Everything, {"choice": value})
    assert read.choice == value
    assert type(read.choice) is type(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "Everything: expected an object, found a list"),
        ({"pair": [1]}, "Everything.pair: expected 2 items, found 1"),
        ({"pair": [1, 2]}, "Everything.pair[1]: expected a string, found 2"),
        ({"pair": [True, ""]}, "Everything.pair[0]: expected an integer, found True"),
        ({"many": {"a": 1}}, "Everything.many: expected a list, found an object"),
        ({"by_name": {"a": float("nan")}}, "Everything.by_name.a: expected a number, found nan"),
        ({"by_name": {"a": 10**400}}, "Everything.by_name.a: expected a number, found 1000"),
        ({"one": 2}, "Everything.one: 2 is none of 1"),
        ({"path": 3}, "Everything.path: expected a path, found 3"),
        ({"choice": []}, "Everything.choice: expected a string or an integer or true or false or null, found a list"),
    ],
)
def test_an_error_names_the_place_and_what_was_found(data: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        from_json(Everything, data)
    assert str(raised.value).startswith(message)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"^Event: seq is missing$"):
        from_json(documents.Event, {})


def test_keys_of_a_newer_writer_are_ignored() -> None:
    assert from_json(components.Stop, {"signal": "SIGINT", "grace": 3}) == components.Stop(signal="SIGINT")


class Color(StrEnum):
    RED = "red"


def test_the_keys_of_a_mapping_are_strings() -> None:
    assert to_json({Color.RED: 1}) == {"red": 1}
    with pytest.raises(TypeError, match="the key 1 has no JSON form"):
        to_json({1: "a"})


@pytest.mark.parametrize("value", [b"", object(), 1j])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        to_json(value)


def test_infinity_is_refused_as_json_has_none() -> None:
    with pytest.raises(ValueError, match="inf has no JSON form"):
        to_json(float("inf"))


def test_the_schema_tells_required_fields_and_nested_types() -> None:
    found = schema(components.Component)
    assert found["title"] == "Component"
    assert found["required"] == ["name", "kind", "binary"]
    assert found["properties"]["stop"] == {"$ref": "#/$defs/Stop"}
    assert found["properties"]["kind"]["enum"] == ["control-plane", "node", "extra"]
    flags = found["properties"]["flags"]["additionalProperties"]["anyOf"]
    assert {"type": "null"} in flags


def test_the_schema_of_a_pair_has_its_length() -> None:
    pair = schema(Everything)["properties"]["pair"]
    assert pair == {
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"type": "string"}],
        "minItems": 2,
        "maxItems": 2,
    }


@FEW
@given(st.frozensets(st.text(max_size=5)))
def test_a_set_is_a_sorted_list(words: frozenset[str]) -> None:
    assert to_json(words) == sorted(words)
    assert from_json(frozenset[str], to_json(words)) == words
    with pytest.raises(ValueError, match="expected a string, found 3"):
        from_json(frozenset[str], [*words, 3])
