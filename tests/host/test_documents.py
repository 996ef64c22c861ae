"""YAML and JSON of anybody: the values Kubernetes sees, within limits."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubedoctor.facts import Malformed
from kubedoctor.host.documents import DEPTH, at, parse_document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 1\nb: [x, 'y', null, true, no, 1.5, '1', -3]", {"a": 1, "b": ["x", "y", None, True, False, 1.5, "1", -3]}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: &x {b: c}\nd: *x", {"a": {"b": "c"}, "d": {"b": "c"}}),
        ("a: &x {b: 1, c: 1}\nd:\n  <<: *x\n  c: 2", {"a": {"b": 1, "c": 1}, "d": {"b": 1, "c": 2}}),
        ("d:\n  c: 2\n  <<: [{c: 1, e: 1}, {e: 2, f: 2}]", {"d": {"c": 2, "e": 1, "f": 2}}),
        ("a: 1\na: 2", {"a": 2}),
        ("1: x\ntrue: why\n~: z", {"1": "x", "true": "why", "~": "z"}),
        ("a: b\n---\nc: d\n", {"a": "b"}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ("{a: b}", {"a": "b"}),
        ("\ufeffa: b", {"a": "b"}),
        ("a: !!python/object/apply:os.system [echo]", {"a": ["echo"]}),
        ("a: !!binary aGk=", {"a": "aGk="}),
        ("a: 08\nb: 0x1F\nc: 1_000", {"a": "08", "b": "0x1F", "c": "1_000"}),
    ],
)
def test_values_are_what_stands_there(text: str, value: object) -> None:
    assert parse_document(text.encode(), "x") == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: b: c", "is not YAML: line 1"),
        (b"a: [\n\n", "is not YAML: line 3"),
        (b"a:\n\t- b", "is not YAML: line 2"),
        (b"a: *hunter2", "has an alias without its anchor: line 1"),
        (b"a: &a [*a]", "has an alias without its anchor: line 1"),
        (b"a\n\n: \xff", "is not text in UTF-8: line 3"),
        (b"a: \x00", "is not YAML: it has a character that text does not have"),
        (b"? [a]\n: b", "has a key that is no text"),
        (b"[" * 100, f"is nested deeper than {DEPTH} levels"),
        (b"- " * 100, f"is nested deeper than {DEPTH} levels"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, f"is nested deeper than {DEPTH} levels"),
        (b"[" + b"1," * 100_001 + b"]", "has more than 100000 values"),
        (b'{"a": [' + b"1," * 100_001 + b"1]}", "has more than 100000 values"),
    ],
)
def test_what_is_no_document_is_malformed_and_says_where_but_not_what(content: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_document(content, "x.yaml")
    assert caught.value.reason == f"x.yaml {reason}"


def test_aliases_cannot_blow_it_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    begin = time.thread_time()
    with pytest.raises(Malformed, match="more than 100000 values"):
        parse_document("\n".join(lines).encode(), "x")
    assert time.thread_time() - begin < 1


@pytest.mark.parametrize(
    "piece", [b"[", b"{a: ", b"- ", b"? ", b"&a ", b"!", b"*", b"a:", b"'", b'"', b"%", b"a: b\n", b"|", b"- - &a *a\n"]
)
def test_a_megabyte_of_anything_ends_soon(piece: bytes) -> None:
    begin = time.thread_time()
    with contextlib.suppress(Malformed):
        parse_document(piece * ((1 << 20) // len(piece)), "x")
    assert time.thread_time() - begin < 5


# What is true, false or a number to Go and a text to PyYAML is left out.
texts = st.text(max_size=20).filter(lambda text: not re.fullmatch(r"[yYnN]|[-+.0-9eE]+", text))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_what_a_yaml_writer_wrote_comes_back(value: object) -> None:
    text = yaml.safe_dump({"top": value}, allow_unicode=True)
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:  # the writer writes some characters that no reader takes
        return
    assert parse_document(text.encode(), "x") == expected


@settings(max_examples=200, deadline=None)
@given(values)
def test_json_comes_back(value: object) -> None:
    assert parse_document(json.dumps({"top": value}).encode(), "x") == {"top": value}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!|>'\"%@`#,? \n\t<~", max_size=200).map(str.encode))
def test_any_bytes_are_a_value_or_malformed(content: bytes) -> None:
    said = "x "
    try:
        parse_document(content, "x")
    except Malformed as problem:
        said = problem.reason
    assert said.startswith("x ")


def test_a_path_leads_to_a_value_or_to_none() -> None:
    value = parse_document(b"a: {b: {c: 1}, d: [e]}", "x")
    assert at(value, "a", "b", "c") == 1
    assert at(value, "a", "d", "e") is None
    assert at(None, "a") is None
