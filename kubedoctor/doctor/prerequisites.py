"""Which checks build on which: as a graph without cycles, whatever the plugins say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from kubedoctor.checks import Check

Graph = Mapping[str, tuple[str, ...]]
"""For each check the checks it builds on, all of them known."""


def graph(
    checks: Sequence[Check],
    plugins: Iterable[str] = (),
    report: Callable[[str, str], None] = lambda _check, _what: None,
) -> Graph:
    """Return the prerequisites of all *checks*; those that are unknown or lead back to the check are dropped.

    *report* is told of the check and what is wrong with it. An unknown check of a plugin that is not among *plugins*
    is none: the plugin may be left out, or not be installed.
    """
    known = {check.id for check in checks}
    loaded = {*plugins, *(check.id.partition(".")[0] for check in checks)}
    edges: dict[str, tuple[str, ...]] = {}
    for check in checks:
        for unknown in (one for one in check.requires if one not in known):
            if unknown.partition(".")[0] in loaded:
                report(check.id, f"it builds on `{unknown}`, which is no check")
        edges[check.id] = tuple(one for one in check.requires if one in known)
    for circle in _circles(edges):
        for check_id in circle:
            around = ", ".join(one for one in edges[check_id] if one in circle)
            report(check_id, f"it builds on {around}, which leads back to it")
            edges[check_id] = tuple(one for one in edges[check_id] if one not in circle)
    return edges


def with_prerequisites(ids: Iterable[str], edges: Graph) -> set[str]:
    """Return *ids* and all that they build on, directly or not."""
    found, waiting = set[str](), list(ids)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += edges.get(one, ())
    return found


def _circles(edges: Mapping[str, tuple[str, ...]]) -> Iterator[frozenset[str]]:
    """Yield the sets of checks that all lead to each other, and those that lead to themselves."""
    reached = {one: with_prerequisites(edges[one], edges) for one in edges if edges[one]}
    seen = set[str]()
    for one in reached:
        if one in reached[one] and one not in seen:
            circle = frozenset(other for other in reached[one] if one in reached.get(other, ()))
            seen |= circle
            yield circle
