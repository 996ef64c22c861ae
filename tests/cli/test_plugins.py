"""`kubedoctor plugins`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import click
import pytest

from kubedoctor import Component, Context, check, hookimpl
from kubedoctor.cli.app import App
from kubedoctor.cli.main import run
from kubedoctor.plugins import Manager


@hookimpl
def kubedoctor_components() -> list[Component]:
    return []


@check("acme.one", title="-", looks_at="-", fix="-")
def one(context: Context) -> None:
    """Look at one."""


@check("acme.two", title="-", looks_at="-", fix="-")
def two(context: Context) -> None:
    """Look at two."""


@hookimpl
def kubedoctor_checks() -> list[object]:
    return [one, two]


@hookimpl
def kubedoctor_commands() -> list[click.Command]:
    return [click.Command("hello")]


GOOD = SimpleNamespace(
    kubedoctor_components=kubedoctor_components,
    kubedoctor_checks=kubedoctor_checks,
    kubedoctor_commands=kubedoctor_commands,
)


def sick() -> object:
    raise ImportError("no module named beta")


@pytest.fixture
def app() -> App:
    app = App()
    app.manager = Manager()
    app.manager.add("acme", lambda: GOOD, distribution="acme-kubedoctor", version="0.3")
    return app


def test_the_table_tells_where_a_plugin_comes_from_and_what_it_does(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugins"], app=app) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["plugin", "version", "distribution", "load", "checks", "hooks"]
    assert line.startswith("acme    0.3      acme-kubedoctor  ")
    assert line.endswith("     2  checks, commands, components")


def test_a_plugin_that_failed_is_named_below_and_makes_the_status_1(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    app.manager.add("beta", sick, distribution="beta-kubedoctor", version="1.0")
    assert run(["plugins"], app=app) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [
        "problems",
        "  beta (beta-kubedoctor 1.0)  left out: ImportError: no module named beta",
    ]
    assert err == ""


def test_what_a_hook_does_wrong_shows_too(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    app.manager.add("beta", lambda: SimpleNamespace(kubedoctor_facts=hookimpl(kubedoctor_facts)))
    assert run(["plugins"], app=app) == 1
    assert "beta  kubedoctor_facts failed: ZeroDivisionError" in capsys.readouterr().out


def kubedoctor_facts() -> list[Any]:
    return [1 / 0]


def test_the_json_form_has_the_same(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    app.manager.add("beta", sick, distribution="beta-kubedoctor", version="1.0")
    assert run(["plugins", "-o", "json"], app=app) == 1
    document = json.loads(capsys.readouterr().out)
    (acme,) = document["plugins"]
    assert acme.pop("seconds") >= 0
    assert acme == {
        "name": "acme",
        "version": "0.3",
        "distribution": "acme-kubedoctor",
        "hooks": ["kubedoctor_checks", "kubedoctor_commands", "kubedoctor_components"],
        "checks": 2,
        "commands": ["hello"],
        "problems": [],
    }
    assert (document["schema_version"], document["kind"]) == (1, "Plugins")
    assert document["problems"] == [
        {
            "name": "beta",
            "distribution": "beta-kubedoctor",
            "version": "1.0",
            "message": "left out: ImportError: no module named beta",
        }
    ]


def test_the_bundled_plugins_are_all_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEDOCTOR_PLUGINS", raising=False)
    assert run(["plugins", "-o", "json"]) == 0, capsys.readouterr()
    names = [plugin["name"] for plugin in json.loads(capsys.readouterr().out)["plugins"]]
    assert {"apiserver", "binaries", "controllers", "etcd", "scheduler"} <= set(names)


def test_an_allow_list_is_taken_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEDOCTOR_PLUGINS", "etcd, scheduler")
    assert run(["plugins", "-o", "json", "--no-plugin", "scheduler"]) == 0
    assert [plugin["name"] for plugin in json.loads(capsys.readouterr().out)["plugins"]] == ["etcd"]
