"""What became of each test, read from ginkgo's report: passed, failed, or without the image or node that it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PASSED, _SKIPPED = "passed", "skipped"
_TOLD = ("failed", "no-image", "two-nodes", _SKIPPED)
_TWO_NODES = re.compile(r"at least (?:2|two) nodes")
"""Two tests of conformance fail, instead of skipping themselves, where there is one node."""
_PULLS = re.compile(r'(?:Failed to pull|Back-off pulling) image "([^"]+)"|image "([^"]+)" is not present')


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A test that was chosen: `state` is passed, failed, skipped (by itself, saying why), no-image or two-nodes."""

    name: str
    state: str
    seconds: float
    reason: str = ""
    images: tuple[str, ...] = ()


def outcomes(report: Path, unmade: Iterable[str] = ()) -> list[Outcome]:
    """Return what *report* (of `ginkgo --json-report`) tells of the tests that were chosen, in their order.

    A failed test counts as without image when an image that it could not pull is one of *unmade*.
    """
    missing = frozenset(unmade)
    return [outcome for suite in json.loads(report.read_text()) for outcome in _of_suite(suite, missing)]


def _of_suite(suite: dict[str, Any], missing: frozenset[str]) -> Iterator[Outcome]:
    for spec in suite.get("SpecReports") or ():
        state, reason = str(spec.get("State", "")), str((spec.get("Failure") or {}).get("Message") or "")
        is_test = spec.get("LeafNodeType") == "It"
        if state == "pending" or (state == _SKIPPED and not reason) or (state == _PASSED and not is_test):
            continue  # not chosen; or what is run before and after all tests
        told = f"{spec.get('CapturedGinkgoWriterOutput') or ''}\n{spec.get('CapturedStdOutErr') or ''}\n{reason}"
        images = tuple(sorted({first or second for first, second in _PULLS.findall(told)} & missing))
        if state not in {_PASSED, _SKIPPED}:
            state = "no-image" if images else "two-nodes" if _TWO_NODES.search(reason) else "failed"
        yield Outcome(
            name=" ".join([*(spec.get("ContainerHierarchyTexts") or ()), str(spec.get("LeafNodeText") or "")]).strip()
            or str(spec.get("LeafNodeType", "")),
            state=state,
            seconds=round(float(spec.get("RunTime") or 0) / 1e9, 1),
            reason=reason,
            images=images,
        )


def table(found: Iterable[Outcome]) -> str:
    """Return counts and every test that did not pass with the first lines of why, worst first."""
    by_state: dict[str, list[Outcome]] = {}
    for outcome in found:
        by_state.setdefault(outcome.state, []).append(outcome)
    lines = []
    for state in _TOLD:
        for outcome in by_state.get(state, ()):
            lines.append(f"{state:<9} {outcome.seconds:>6.1f} s  {outcome.name}")
            why = ", ".join(outcome.images) or " / ".join(filter(None, map(str.strip, outcome.reason.splitlines()[:4])))
            lines.append(f"{'':<20}{why[:300]}")
    counts = (f"{len(by_state.get(state, ()))} {state}" for state in (_PASSED, *_TOLD))
    return "\n".join([*lines, ", ".join(counts)])
