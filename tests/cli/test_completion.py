"""What a shell is offered."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from kubedoctor import Component, Kind, hookimpl
from kubedoctor.cli.app import App
from kubedoctor.cli.completion import complete_cluster, complete_component, complete_plugin
from kubedoctor.cli.main import COMMANDS, run
from kubedoctor.plugins import Manager

PARAMETER = click.Option(["--x"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    return tmp_path


@hookimpl
def kubedoctor_components() -> list[Component]:
    return [Component(name=name, kind=Kind.EXTRA, binary=name) for name in ("etcd", "etcd-backup", "kubelet")]


def context(**parameters: object) -> click.Context:
    app = App()
    app.manager = Manager()
    app.manager.add("acme", lambda: SimpleNamespace(kubedoctor_components=kubedoctor_components))
    made = click.Context(click.Command("x"), obj=app)
    made.params.update(parameters)
    return made


def make_cluster(home: Path, name: str, *components: str) -> None:
    place = home / "clusters" / name / "places" / "node-1"
    place.mkdir(parents=True)
    (place / "plan.json").write_text(json.dumps({"components": [{"name": component} for component in components]}))


def test_names_of_clusters(home: Path) -> None:
    for name in ("local", "lab", "other"):
        make_cluster(home, name)
    assert [item.value for item in complete_cluster(context(), PARAMETER, "l")] == ["lab", "local"]


def test_components_of_the_cluster_that_was_named(home: Path) -> None:
    make_cluster(home, "lab", "etcd", "mine")
    assert [item.value for item in complete_component(context(name="lab"), PARAMETER, "")] == ["etcd", "mine"]


def test_components_of_the_plugins_when_there_is_no_cluster() -> None:
    assert [item.value for item in complete_component(context(), PARAMETER, "etc")] == ["etcd", "etcd-backup"]


def test_the_next_component_of_a_list_without_those_that_are_there() -> None:
    found = [item.value for item in complete_component(context(), PARAMETER, "etcd,")]
    assert found == ["etcd,etcd-backup", "etcd,kubelet"]


def test_names_of_plugins() -> None:
    assert [item.value for item in complete_plugin(context(), PARAMETER, "a")] == ["acme"]


def test_whatever_goes_wrong_there_is_nothing_to_choose_from(home: Path) -> None:
    make_cluster(home, "local")
    (home / "clusters" / "local" / "places" / "node-1" / "plan.json").write_text("{")
    assert complete_component(context(), PARAMETER, "") == []
    assert complete_component(context(name="../up"), PARAMETER, "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_can_read(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert "_KUBEDOCTOR_COMPLETE" in script
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=script, text=True, check=False).returncode == 0


def test_an_unknown_shell_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err


def ask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: str) -> tuple[list[str], str]:
    """Ask as bash does for what may stand at the end of *words*."""
    monkeypatch.setenv("_KUBEDOCTOR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert run([]) == 0
    out, err = capfd.readouterr()
    return [line.partition(",")[2] for line in out.splitlines() if line], err


def test_bash_is_offered_commands(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    found, err = ask(monkeypatch, capfd, "kubedoctor ")
    assert set(found) >= set(COMMANDS)
    assert err == ""


def test_bash_is_offered_plugins_and_choices(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(monkeypatch, capfd, "kubedoctor --no-plugin et") == (["etcd"], "")
    assert ask(monkeypatch, capfd, "kubedoctor completion z") == (["zsh"], "")


def test_completing_is_silent_about_sick_plugins(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBEDOCTOR_PLUGINS", "not-there")
    found, err = ask(monkeypatch, capfd, "kubedoctor plug")
    assert (found, err) == (["plugins"], "")
