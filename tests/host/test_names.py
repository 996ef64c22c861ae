"""What `from kubedoctor import host` offers."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from kubedoctor import host

SOURCE = Path(host.__file__)


def test_every_name_is_there() -> None:
    for name in dir(host):
        assert getattr(host, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = host.no_such_name


def test_a_module_of_the_same_name_does_not_hide_a_fact() -> None:
    for home in sorted(set(host._HOME.values())):
        importlib.import_module(f"kubedoctor.host.{home}")
    for name in dir(host):
        assert not isinstance(getattr(host, name), ModuleType)


def test_types_see_the_same_names_as_the_interpreter() -> None:
    found = {
        alias.name: node.module
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kubedoctor.host.")
        for alias in node.names
    }
    homes: dict[str, str] = host._HOME
    assert found == {name: f"kubedoctor.host.{home}" for name, home in homes.items()}
    for name, home in homes.items():
        assert hasattr(importlib.import_module(f"kubedoctor.host.{home}"), name)
