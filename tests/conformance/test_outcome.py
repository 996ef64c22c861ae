"""What is read from a report of ginkgo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.outcome import outcomes, table

PULLING = 'Failed to pull image "registry.example/perl:5": not found'


def spec(state: str, message: str = "", **changes: Any) -> dict[str, Any]:
    failure = {"Failure": {"Message": message}} if message else {}
    common = {"ContainerHierarchyTexts": ["[sig-x] Pods"], "LeafNodeText": state, "LeafNodeType": "It"}
    return {**common, "State": state, "RunTime": 1_500_000_000, **failure, **changes}


def report(directory: Path, *specs: dict[str, Any]) -> Path:
    path = directory / "report.json"
    path.write_text(json.dumps([{"SpecReports": specs}, {"SpecReports": None}]))
    return path


def test_only_tests_that_were_chosen_are_told(tmp_path: Path) -> None:
    made = report(tmp_path, spec("passed"), spec("skipped"), spec("pending"), spec("passed", LeafNodeType="AfterSuite"))
    assert [(outcome.name, outcome.state, outcome.seconds) for outcome in outcomes(made)] == [
        ("[sig-x] Pods passed", "passed", 1.5)
    ]


def test_test_that_skips_itself_says_why(tmp_path: Path) -> None:
    (outcome,) = outcomes(report(tmp_path, spec("skipped", "needs two nodes")))
    assert (outcome.state, outcome.reason) == ("skipped", "needs two nodes")


def test_failure_for_an_image_that_was_not_made_is_no_failure(tmp_path: Path) -> None:
    made = report(tmp_path, spec("failed", "timed out", CapturedGinkgoWriterOutput=PULLING), spec("panicked", "why"))
    assert [outcome.state for outcome in outcomes(made, ["registry.example/perl:5"])] == ["no-image", "failed"]
    assert [outcome.state for outcome in outcomes(made)] == ["failed", "failed"]


def test_test_that_wants_a_second_node_is_no_failure(tmp_path: Path) -> None:
    (outcome,) = outcomes(report(tmp_path, spec("failed", "Conformance requires at least two nodes")))
    assert outcome.state == "two-nodes"


def test_what_fails_before_all_tests_is_told(tmp_path: Path) -> None:
    made = report(
        tmp_path,
        spec(
            "failed", "no nodes", LeafNodeType="SynchronizedBeforeSuite", ContainerHierarchyTexts=None, LeafNodeText=""
        ),
    )
    assert [(outcome.name, outcome.state) for outcome in outcomes(made)] == [("SynchronizedBeforeSuite", "failed")]


def test_table_ends_in_counts(tmp_path: Path) -> None:
    made = report(tmp_path, spec("passed"), spec("failed", "first\n\nsecond"))
    lines = table(outcomes(made)).splitlines()
    assert lines[0].startswith("failed       1.5 s  [sig-x] Pods failed")
    assert lines[1].strip() == "first / second"
    assert lines[-1] == "1 passed, 1 failed, 0 no-image, 0 two-nodes, 0 skipped"
