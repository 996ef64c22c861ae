"""Values of our documents, any that their type hints allow."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from kubedoctor import components
from kubedoctor.cluster import documents
from kubedoctor.doctor.documents import Report
from kubedoctor.doctor.recording import Recording

DOCUMENTS = [
    components.Certificate,
    components.Component,
    components.Download,
    components.File,
    components.Found,
    components.GoBuild,
    components.Kubeconfig,
    components.Manifest,
    components.Port,
    components.Probe,
    components.SourceBuild,
    components.Stop,
    documents.Event,
    documents.Plan,
    documents.PlaceStatus,
    documents.PlannedComponent,
    documents.Status,
    Recording,
    Report,
]

TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=6,
)

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(),
    float: FLOATS,
    bool: st.booleans(),
    type(None): st.none(),
    Any: JSON,
    object: JSON,
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of *kind*, by its type hints; hypothesis's own does not fill `Any`."""
    arguments = typing.get_args(kind)
    if kind in SCALARS:
        return SCALARS[kind]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if typing.get_origin(kind) is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if typing.get_origin(kind) is Mapping:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=2)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(
            typing.cast("type[Any]", kind),
            **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(kind)},
        )
    return st.sampled_from(kind)
