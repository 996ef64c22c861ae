"""The bundled facts and checks keep to what the doctor needs of them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kubedoctor import Check, Fact
from kubedoctor.doctor.prerequisites import graph
from kubedoctor.jsonform import _schema
from kubedoctor.plugins import Manager, bundled_points

ROOT = Path(__file__).resolve().parent.parent.parent
BEFORE_A_FACT = """
import sys
import kubedoctor.cli.check, kubedoctor.cli.explain, kubedoctor.cli.survey, kubedoctor.doctor.examine
import kubedoctor.doctor.recording, kubedoctor.report.check_text, kubedoctor.report.explain_text, kubedoctor.plugins
from kubedoctor.plugins import load
load().checks()
heavy = {"httpx", "cryptography", "pyroute2", "rich", "yaml", "psutil", "asyncio", "pytest"}
print(*sorted(heavy & sys.modules.keys()))
"""


def bundled() -> Manager:
    manager = Manager()
    for point in bundled_points():
        manager.add(point.name, point.load, distribution="kubedoctor")
    return manager


MANAGER = bundled()
CHECKS = MANAGER.checks()


def facts() -> dict[str, Fact[Any, Any]]:
    """Return every fact of ours by its name, wherever it is made."""
    found: dict[str, Fact[Any, Any]] = {}
    packages = [
        "kubedoctor.host",
        "kubedoctor.doctor",
        *(path.name for path in (ROOT / "plugins").glob("kubedoctor_*")),
    ]
    for package in packages:
        module = importlib.import_module(package)
        names = [package, *(one.name for one in pkgutil.walk_packages(module.__path__, f"{package}."))]
        for name in names:
            if name.endswith(("without_cgroups",)):
                continue  # a program, which is run and not imported
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, Fact):
                    assert found.setdefault(value.name, value) is value, f"two facts are called {value.name}"
    return found


FACTS = facts()


def test_no_plugin_offers_what_cannot_be_used() -> None:
    told: list[tuple[str, str]] = []
    graph(CHECKS, [plugin.name for plugin in MANAGER.plugins], lambda *words: told.append(words))
    assert MANAGER.problems == []
    assert told == []


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_a_fact_can_be_recorded_and_says_what_it_is(fact: Fact[Any, Any]) -> None:
    _schema(fact.kind, {})  # raises for a type that has no JSON form
    assert fact.what
    _look, *parameters = inspect.signature(fact.gather).parameters.values()
    assert all(one.kind in (one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL) for one in parameters)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_tells_what_explain_needs(check: Check) -> None:
    assert check.title[0].islower() or check.title.split()[0] in ("DNS", "CNI", "CRI", "API", "NAT")
    for text in (check.title, check.looks_at, check.fix):
        assert text.strip()
        assert not text.endswith(".")
        assert "\n" not in text
    assert check.what[0].isupper()
    assert check.deadline <= 15


def test_a_name_of_kubeadms_means_one_check() -> None:
    names = Counter(alias.lower() for check in CHECKS for alias in check.aliases)
    assert not [name for name, number in names.items() if number > 1]


def test_heavy_libraries_are_not_imported_before_a_fact_needs_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_A_FACT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "\n", f"imported: {done.stdout}"
