"""`kubedoctor explain`."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from support.checks import passing

from kubedoctor import Check, Phase, hookimpl
from kubedoctor.cli.app import App
from kubedoctor.cli.console import Console
from kubedoctor.cli.main import cli, run
from kubedoctor.plugins import Manager

STUCK = replace(
    passing(
        "acme.gizmo-stuck",
        of=("gizmo",),
        phases=(Phase.PREFLIGHT, Phase.RUNNING),
        requires=("acme.gizmo-there",),
        seen_as=("gizmo: timeout",),
        needs="root",
        tags=("gizmo",),
        aliases=("Gizmo",),
    ),
    title="the gizmo turns",
    what="A gizmo that does not turn lets every pod wait, however long, and nothing says why for long.\n\nTurn it.",
    looks_at="/run/gizmo",
    fix="restart the gizmo",
)
THERE = passing("acme.gizmo-there")


def explain(*arguments: str, checks: tuple[Check, ...] = (STUCK, THERE)) -> tuple[int, str, str]:
    manager = Manager()

    @hookimpl
    def kubedoctor_checks() -> list[Check]:
        return list(checks)

    plugin = SimpleNamespace(kubedoctor_checks=kubedoctor_checks)
    manager.add("acme", lambda: plugin, distribution="acme-kubedoctor", version="0.3")
    out, err = io.StringIO(), io.StringIO()
    app = App(Console(stdout=out, stderr=err))
    app.manager = manager
    return run(["explain", *arguments], app=app), out.getvalue(), err.getvalue()


@pytest.mark.parametrize("word", ["acme.gizmo-stuck", "gizmo", "*-stuck", "tag:gizmo"])
def test_a_check_is_explained_by_its_id_or_another_name(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert explain(word) == (
        0,
        """\
acme.gizmo-stuck   the gizmo turns

  what      A gizmo that does not turn lets every pod wait, however long, and
            nothing says why for long.

            Turn it.
  looks at  /run/gizmo
  fix       restart the gizmo
  seen as   "gizmo: timeout"
  runs on   the machine, before `up` starts gizmo; every cluster with gizmo
  after     acme.gizmo-there; it is skipped when one of them fails
  default   error, 3 s at most
  needs     root
  kubeadm   Gizmo
  tags      gizmo
  since     0.1
  plugin    acme (acme-kubedoctor 0.3)
""",
        "",
    )


def test_several_ids_are_explained_below_each_other() -> None:
    _, out, _ = explain("acme.gizmo-stuck", "acme.gizmo-there")
    assert [line for line in out.splitlines() if re.match(r"\S", line)] == [
        "acme.gizmo-stuck   the gizmo turns",
        "acme.gizmo-there   acme.gizmo-there is well",
    ]


def test_without_an_id_or_for_a_plugin_checks_are_listed() -> None:
    listed = "acme.gizmo-stuck  the gizmo turns\nacme.gizmo-there  acme.gizmo-there is well\n"
    assert explain() == (0, listed, "")
    assert explain("acme") == (0, listed, "")


def test_an_unknown_id_names_the_nearest() -> None:
    status, out, err = explain("acme.gizmo-stcuk")
    assert (status, out) == (2, "")
    assert err.endswith("hint: did you mean `acme.gizmo-stuck`?\n")


def test_without_any_check_there_is_nothing_to_explain() -> None:
    status, _, err = explain(checks=())
    assert status == 2
    assert err.startswith("error: there is no check")


def test_ids_complete() -> None:
    done = CliRunner().invoke(
        cli,
        [],
        env={"_KUBEDOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": "kubedoctor explain etcd.p", "COMP_CWORD": "2"},
        prog_name="kubedoctor",
        complete_var="_KUBEDOCTOR_COMPLETE",
    )
    assert "etcd.port-taken" in done.output
