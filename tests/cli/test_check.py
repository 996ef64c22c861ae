"""`kubedoctor check`, with made-up checks on a made-up machine; and once the real one, in a process of its own."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.checks import MACHINE, asking, cluster, fact_of, finding, made, passing, raising
from support.command import Kubedoctor

from kubedoctor import Check, Context, Denied, Fact, Finding, Instance, Look, Severity, Target, fact, hookimpl
from kubedoctor.cli import survey
from kubedoctor.cli.app import App
from kubedoctor.cli.console import Console
from kubedoctor.cli.main import run
from kubedoctor.doctor.look import SharedLook
from kubedoctor.plugins import Manager

FIXTURES = Path(__file__).parent.parent / "fixtures"


@fact("acme.speed")
def speed(look: Look) -> int:
    """How fast it is."""
    return 7


@fact("acme.unasked")
def unasked(look: Look) -> str:
    """What no check asks for."""
    return "nobody asked"


def slow(context: Context) -> Iterator[Finding]:
    if context.get(speed) < 10:
        yield Finding(message="it is slow", subject="it")


CHECKS = (
    made("acme.slow", slow, aliases=("Swap",), tags=("speed",)),
    asking("acme.secret", fact_of("acme.hidden", lambda _: (_ for _ in ()).throw(Denied("needs root")))),
    finding("acme.odd", "it is odd", severity=Severity.WARNING),
    passing("acme.etcd", of=("etcd",)),
)


@dataclass
class Program:
    """The program with the plugin acme on a machine of its own."""

    checks: tuple[Check, ...]
    facts: tuple[Fact[Any, Any], ...] = (speed, unasked)
    out: str = ""
    err: str = ""

    def __call__(self, *arguments: str) -> int:
        manager = Manager()
        plugin = SimpleNamespace(
            kubedoctor_checks=hookimpl(lambda: list(self.checks)), kubedoctor_facts=hookimpl(lambda: list(self.facts))
        )
        for name, hook in vars(plugin).items():
            hook.__name__ = name
        manager.add("acme", lambda: plugin, distribution="acme-kubedoctor", version="0.3")
        out, err = io.StringIO(), io.StringIO()
        app = App(Console(stdout=out, stderr=err))
        app.manager = manager
        status = run(["check", *arguments], app=app)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def json(self, *arguments: str) -> Any:
        self(*arguments, "-o", "json")
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    """Make the machine one that has nothing on it but what a test puts into the list; $COLUMNS is out of the way."""
    targets = [replace(MACHINE, instances=(Instance(name="etcd", source="what `up` would start", planned=True),))]

    @contextmanager
    def made_up(
        manager: Manager, *, kubeconfig: str = "", seconds: float = 5.0
    ) -> Iterator[tuple[SharedLook, list[Target]]]:
        yield SharedLook(now=1_700_000_000.0), targets

    monkeypatch.setattr(survey, "survey", made_up)
    monkeypatch.delenv("COLUMNS", raising=False)
    return targets


@pytest.fixture
def check() -> Program:
    return Program(CHECKS)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_problems_are_told_first_and_make_the_status_1(check: Program) -> None:
    assert check() == 1
    assert (
        re.sub(r"in \d+\.\d s", "in 0.1 s", check.out)
        == """\
this machine, 4 checks in 0.1 s

it is slow                                                             acme.slow
  fix   mend it

also
  ! it is odd                                                           acme.odd
    fix   mend it

1 error, 1 warning, 1 not applicable, 1 unknown (needs root: acme.secret)
more: kubedoctor explain acme.slow
"""
    )
    assert check.err == ""


def test_a_machine_that_could_start_a_cluster_is_told_so() -> None:
    check = Program((passing("acme.a"),))
    assert check() == 0
    assert re.fullmatch(r"this machine, 1 check in \d\.\d s: a cluster can start here\n\n1 well\n", check.out)
    assert check("acme.a") == 0
    assert "can start" not in check.out  # not all checks ran


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 1),
        (["--fail-on", "never"], 0),
        (["--ignore", "Swap"], 0),
        (["--ignore", "acme.slow", "--fail-on", "warning"], 1),
        (["--ignore", "acme.*", "--fail-on", "warning"], 0),
        (["--ignore", "slow"], 2),
        (["--strict", "--ignore", "all"], 4),
        (["acme.secret"], 4),
        (["acme.etcd"], 4),
        (["acme.odd"], 0),
        (["tag:speed"], 1),
        (["swap,acme.odd"], 1),
        (["acme.slwo"], 2),
        (["--phase", "preflight"], 4),
        (["--phase", "running"], 1),
        (["--fail-on", "fatal"], 2),
        (["-o", "jsno"], 2),
        (["-o", "json="], 2),
        (["-o", "json", "-o", "text"], 2),
        (["-o", "json=/no/such/directory/file"], 2),
        (["--record", "/no/such/directory/file"], 2),
        (["--from", "/no/such/file"], 2),
        (["--from", "x", "--record", "y"], 2),
        (["--timeout", "0"], 2),
    ],
)
def test_the_exit_status(check: Program, arguments: list[str], status: int) -> None:
    assert check(*arguments) == status
    if status == 2:
        assert check.out == ""
        assert len(check.err.strip().splitlines()) in (1, 3)  # an error, and a hint
        assert "Traceback" not in check.err


def test_an_unknown_selector_names_the_nearest(check: Program) -> None:
    check("acme.slwo")
    assert check.err == (
        "error: no check is called `acme.slwo`, nor is a plugin or tag\n\nhint: did you mean `acme.slow`?\n"
    )


def test_an_ignored_finding_is_seen_as_ignored(check: Program) -> None:
    document = check.json("--ignore", "Swap")
    outcomes = {result["check"]: result["outcome"] for result in document["results"]}
    assert outcomes == {
        "acme.slow": "ignored",
        "acme.secret": "unknown",
        "acme.odd": "failed",
        "acme.etcd": "not-applicable",
    }
    assert document["counts"]["ignored"] == 1
    assert document["ok"]


def test_the_report_as_json(check: Program, machine: list[Target]) -> None:
    machine.append(cluster("one", "etcd"))
    document = check.json()
    assert (document["kind"], document["schema_version"], document["ok"]) == ("Report", 1, False)
    assert document["targets"][1]["components"] == ["etcd"]
    assert document["started"] == "2023-11-14T22:13:20.000Z"
    assert document["results"][-1]["target"] == "one"
    assert document["results"][0]["findings"][0]["fingerprint"]
    assert document["problems"] == []


def test_several_forms_go_to_several_places(check: Program, tmp_path: Path) -> None:
    assert check("-o", f"json={tmp_path / 'a.json'}", "-o", f"text={tmp_path / 'b.txt'}") == 1
    assert json.loads((tmp_path / "a.json").read_text())["kind"] == "Report"
    assert (tmp_path / "b.txt").read_text().startswith("this machine, 4 checks")
    assert check.out == (tmp_path / "b.txt").read_text()
    assert check("-o", "json", "-o", f"text={tmp_path / 'b.txt'}") == 1
    assert json.loads(check.out)["kind"] == "Report"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.txt"]


def test_a_report_may_go_to_what_is_no_regular_file(check: Program, tmp_path: Path) -> None:
    before = Path(os.devnull).stat()
    assert check("-o", f"json={os.devnull}") == 1
    after = Path(os.devnull).stat()
    assert (stat.S_ISCHR(after.st_mode), after.st_ino) == (True, before.st_ino)
    real = tmp_path / "real.json"
    link = tmp_path / "link.json"
    link.symlink_to(real)
    assert check("-o", f"json={link}") == 1
    assert link.is_symlink()
    assert real.is_file()


def test_verbose_tells_of_every_check_and_timings_of_the_slowest(check: Program) -> None:
    assert check("-v", "--timings") == 1
    assert "  unknown         acme.secret  needs root" in check.out
    assert "slowest facts\n" in check.out


# --- defects ----------------------------------------------------------------------------------------------------------


def test_a_check_that_crashes_is_a_defect_with_a_file_and_the_rest_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    check = Program((raising("acme.sick", KeyError("ports")), passing("acme.well")))
    assert check() == 3
    assert "1 well, 1 crashed (acme (acme-kubedoctor 0.3): KeyError: 'ports': acme.sick)" in check.out
    (file,) = tmp_path.glob("crash-*.md")
    assert "KeyError: 'ports'" in file.read_text()
    assert check.err == (
        f"warning: acme.sick crashed\n\nhint: details for a report to acme (acme-kubedoctor 0.3) are in {file}\n"
    )


def test_what_is_wrong_with_a_plugin_is_told_in_every_form() -> None:
    check = Program((passing("acme.a", requires=("acme.none",)), passing("beta.b")))
    assert check() == 0
    problems = [
        "acme (acme-kubedoctor 0.3): check beta.b: left out: `beta` is another plugin; it has to begin with `acme.`",
        "acme (acme-kubedoctor 0.3): acme.a: it builds on `acme.none`, which is no check",
    ]
    assert check.err.splitlines() == [f"warning: plugin {problem}" for problem in problems]
    assert check.json()["problems"] == problems
    assert check("--strict") == 4


def test_what_a_check_prints_does_not_get_into_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    check = Program(
        (
            made("acme.loud", lambda _: print("loud")),  # noqa: T201 - that is what it does wrong
        )
    )
    assert check.json()["results"][0]["outcome"] == "passed"
    assert capsys.readouterr().err == "loud\n"


# --- recordings -------------------------------------------------------------------------------------------------------


def comparable(report: Any) -> Any:
    report["seconds"] = 0
    for result in report["results"]:
        result["seconds"] = 0
    return report


@pytest.mark.parametrize("name", ["run.json", "run.json.gz"])
def test_a_recording_gives_the_same_report_elsewhere(
    check: Program, machine: list[Target], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.append(cluster("one", "etcd"))
    file = tmp_path / name
    live = check.json("--record", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert check.err == f"recorded in {file}; look at it with kubedoctor check --from {file}\n"
    data = file.read_bytes()
    assert data.startswith(b"\x1f\x8b") == name.endswith(".gz")
    recorded = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
    assert recorded["facts"]["acme.unasked()"]["value"] == "nobody asked"

    def no_machine(*_: object, **__: object) -> None:
        raise AssertionError("the machine is looked at")

    monkeypatch.setattr(survey, "survey", no_machine)
    monkeypatch.setattr("kubedoctor.doctor.look.gather", no_machine)
    assert comparable(check.json("--from", str(file))) == comparable(live)
    assert check("--from", str(file)) == 1
    assert check.out.startswith("recorded 2023-11-14T22:13:20.000Z by kubedoctor 0.")


def test_a_recording_may_come_from_stdin(check: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FIXTURES / "recordings" / "schema-1.json").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert check("--from", "-") == 4
    assert "acme.speed() is not recorded: acme.slow" in check.out


def test_what_is_no_recording_is_refused_in_one_line(check: Program, tmp_path: Path) -> None:
    fifo, text, huge = (tmp_path / name for name in ("fifo", "text", "huge"))
    os.mkfifo(fifo)
    text.write_text("what is this")
    huge.touch()
    os.truncate(huge, 8 << 30)
    for file in (fifo, text, huge, Path("/dev/zero"), FIXTURES / "seed-1.3.sh"):
        assert check("--from", str(file)) == 2
        assert check.out == ""
        assert len(check.err.splitlines()) == 3
        assert check.err.startswith("error: ")
    assert check("--from", str(tmp_path)) == 2
    assert check.err == f"error: --from {tmp_path}: it is a directory, not a file\n"


# --- the real machine -------------------------------------------------------------------------------------------------


def test_the_real_one_tells_something_and_its_recording_the_same(tmp_path: Path) -> None:
    program = Kubedoctor(home=tmp_path / "home", bin_dir=tmp_path)
    live = program("check", "--phase", "preflight", "--record", str(tmp_path / "run.gz"), "-o", "json")
    assert live.status in (0, 1, 4), live.err
    assert "Traceback" not in live.err
    report = live.json
    assert report["targets"][0]["kind"] == "machine"
    assert report["results"]
    assert not [one for one in report["results"] if one["outcome"] == "crashed"]
    again = program("check", "--phase", "preflight", "--from", str(tmp_path / "run.gz"), "-o", "json")
    assert again.status == live.status
    assert comparable(again.json) == comparable(report)
