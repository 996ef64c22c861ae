from __future__ import annotations

from kubedoctor.cluster.logs.lines import Level
from kubedoctor.cluster.logs.problems import problems
from kubedoctor.cluster.logs.records import Record


def error(component: str, time: float, text: str, level: Level = Level.ERROR) -> Record:
    return Record(component, time, level, f"E1123 03:41:48.847853      19 x.go:1] {text}")


def test_errors_that_differ_in_numbers_and_paths_are_one_kind() -> None:
    found = problems([error("a", n, f'"No node" err="try {n} of /var/{n}"') for n in range(12)])
    assert [(p.count, p.first, p.last, p.text) for p in found] == [(12, 0, 11, "No node: try 11 of /var/11")]


def test_what_ended_a_component_comes_first() -> None:
    records = [
        error("a", 1, '"command failed" err="no file"'),
        error("a", 2, '"Noise"'),
        error("b", 0, '"Other"'),
        error("a", 3, '"command failed" err="finished without leader elect"'),
    ]
    found = problems(records)
    assert [(p.component, p.text, p.fatal) for p in found] == [
        ("a", "no file", True),
        ("a", "finished without leader elect", False),
        ("a", "Noise", False),
        ("b", "Other", False),
    ]
