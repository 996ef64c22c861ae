from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.planning.order import start_order
from kubedoctor.components import Component, Kind
from kubedoctor.errors import PlanError

NAMES = [f"c{number}" for number in range(8)]


def component(name: str, *after: str) -> Component:
    return Component(name=name, kind=Kind.EXTRA, binary=name, after=after)


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, Component]:
    hidden = draw(st.permutations(NAMES))
    needs = {
        name: draw(st.lists(st.sampled_from([*hidden[:index], "elsewhere"]), unique=True))
        for index, name in enumerate(hidden)
    }
    return {name: component(name, *needs[name]) for name in draw(st.permutations(NAMES))}


@given(acyclic())
def test_everything_stands_behind_what_it_comes_after(components: dict[str, Component]) -> None:
    order = start_order(components)
    assert sorted(order) == sorted(components)
    for name, item in components.items():
        for needed in item.after:
            assert needed not in components or order.index(needed) < order.index(name)


@given(acyclic())
def test_order_depends_on_nothing_but_what_is_given(components: dict[str, Component]) -> None:
    assert start_order(components) == start_order(dict(components))


@given(st.permutations(NAMES))
def test_components_that_need_nothing_keep_their_order(names: list[str]) -> None:
    assert start_order({name: component(name) for name in names}) == tuple(names)


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_cycle_is_named_link_by_link(cycle: list[str]) -> None:
    components = {name: component(name, cycle[index - 1]) for index, name in enumerate(cycle)}
    with pytest.raises(PlanError, match="components wait for each other: ") as refused:
        start_order(components)
    links = re.findall(r"c\d", refused.value.message)
    assert links[0] == links[-1]
    for waiting, needed in pairwise(links):
        assert needed in components[waiting].after
