"""Prerequisites are a graph without cycles, whatever the checks say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.checks import passing

from kubedoctor.checks import Check
from kubedoctor.doctor.prerequisites import graph, with_prerequisites


def told(*checks: Check, plugins: tuple[str, ...] = ()) -> tuple[dict[str, tuple[str, ...]], list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    edges = graph(checks, plugins, lambda check, what: problems.append((check, what)))
    return dict(edges), problems


def test_an_unknown_prerequisite_is_a_problem_and_does_not_count() -> None:
    assert told(passing("acme.one", requires=("acme.no-such",))) == (
        {"acme.one": ()},
        [("acme.one", "it builds on `acme.no-such`, which is no check")],
    )


def test_a_prerequisite_of_a_plugin_that_is_not_there_is_no_problem() -> None:
    one = passing("acme.one", requires=("other.check",))
    assert told(one) == ({"acme.one": ()}, [])
    assert told(one, plugins=("acme", "other"))[1] == [("acme.one", "it builds on `other.check`, which is no check")]


def test_checks_in_a_circle_are_told_and_do_not_wait_for_each_other() -> None:
    edges, problems = told(
        passing("acme.a", requires=("acme.b", "acme.free")),
        passing("acme.b", requires=("acme.a",)),
        passing("acme.free"),
        passing("acme.outside", requires=("acme.a",)),
        passing("acme.self", requires=("acme.self",)),
    )
    assert edges == {
        "acme.a": ("acme.free",),
        "acme.b": (),
        "acme.free": (),
        "acme.outside": ("acme.a",),
        "acme.self": (),
    }
    assert sorted(problems) == [
        ("acme.a", "it builds on acme.b, which leads back to it"),
        ("acme.b", "it builds on acme.a, which leads back to it"),
        ("acme.self", "it builds on acme.self, which leads back to it"),
    ]


def test_prerequisites_of_prerequisites_come_along() -> None:
    edges = {"a": ("b",), "b": ("c",), "c": (), "d": ()}
    assert with_prerequisites(["a"], edges) == {"a", "b", "c"}
    assert with_prerequisites([], edges) == set()


@given(st.lists(st.frozensets(st.integers(0, 9), max_size=4), max_size=10))
def test_no_graph_leads_back_to_where_it_began(wishes: list[frozenset[int]]) -> None:
    checks = [
        passing(f"acme.n{number}", requires=tuple(f"acme.n{one}" for one in sorted(requires)))
        for number, requires in enumerate(wishes)
    ]
    edges = graph(checks)
    assert set(edges) == {check.id for check in checks}
    for check in edges:
        assert check not in with_prerequisites(edges[check], edges)
