"""The order components start in."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from kubedoctor.components import Component
from kubedoctor.errors import PlanError


def start_order(components: Mapping[str, Component]) -> tuple[str, ...]:
    """Return the names so that each stands behind all it comes after; those that are free stand in the order given.

    Names in `after` that are not among *components* do not count. Raise PlanError for a cycle, naming it.
    """
    place = {name: index for index, name in enumerate(components)}
    graph = {
        name: [needed for needed in component.after if needed in components] for name, component in components.items()
    }
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as problem:
        cycle = list(reversed(problem.args[1]))  # graphlib lists each before the one that needs it
        raise PlanError(
            "components wait for each other: " + " after ".join(cycle),
            hint="one of them is changed by a plugin; leave it out with --no-plugin NAME",
        ) from None
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=place.__getitem__)
        name = ready.pop(0)
        order.append(name)
        sorter.done(name)
    return tuple(order)
