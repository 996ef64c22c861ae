"""`up --dry-run` looks and does nothing: no file, no process, no port, whether a cluster runs or not."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.clusters import commands
from support.command import Kubedoctor
from support.machine import processes

from kubedoctor.cluster.documents import Plan
from kubedoctor.jsonform import from_json

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CONTROL_PLANE = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
FORMS = {"text": (), "json": ("-o", "json"), "shell": ("-o", "shell")}
BUSY = ("data", "logs", "state.json", "events.jsonl", "keeper.log")
"""What a running cluster writes by itself, below the directory of its place."""


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    """Everything the program could write to is below one directory."""
    places = {"HOME": "person", "XDG_CACHE_HOME": "person/.cache", "TMPDIR": "tmp"}
    for name in ("person", "tmp"):
        (tmp_path / name).mkdir()
    with commands(tmp_path, binaries, **{name: str(tmp_path / path) for name, path in places.items()}) as cli:
        yield cli


def tree(directory: Path, *, without: Path | None = None) -> dict[str, tuple[object, ...]]:
    """Return each file below *directory* with all that a write would change, but for what lies in *without*."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [directory, *directory.rglob("*")]:
        if without is not None and path.is_relative_to(without) and path != without:
            continue
        status = path.lstat()
        changed = (0, 0) if path == without else (status.st_size, status.st_mtime_ns)
        found[str(path)] = (stat.filemode(status.st_mode), status.st_uid, status.st_ino, *changed)
    return found


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_where_nothing_was(cli: Kubedoctor, tmp_path: Path, form: str) -> None:
    before = tree(tmp_path)
    shown = cli.ok("up", "--dry-run", "--reach", "hook=9443", "--publish", "8080:30080", *FORMS[form])
    assert "kube-apiserver" in shown.out
    assert tree(tmp_path) == before
    assert processes(cli.home) == []


def test_running_cluster_is_looked_at_and_not_touched(cli: Kubedoctor, tmp_path: Path) -> None:
    cli.ok("up", "--only", "etcd")
    place = cli.home / "clusters" / "local" / "places" / "node-1"
    settled = {path.name: path.stat().st_mtime_ns for path in place.iterdir() if path.name not in BUSY}
    before = tree(tmp_path, without=place)
    for form in FORMS.values():
        shown = cli.ok("up", "--dry-run", "--only", "etcd", "--set", "etcd.snapshot-count=77", *form)
        assert "snapshot-count=77" in shown.out
    assert tree(tmp_path, without=place) == before
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir() if path.name not in BUSY} == settled
    assert "ready already" in cli.ok("up", "--only", "etcd").err, "the wish of the dry run was remembered"


def test_json_is_the_plan_that_up_runs(cli: Kubedoctor) -> None:
    shown = from_json(Plan, cli.ok("up", "--dry-run", "-o", "json").json)
    assert sorted(component.name for component in shown.components) == CONTROL_PLANE
    cli.ok("up")
    ran = cli.home / "clusters" / "local" / "places" / "node-1" / "plan.json"
    assert from_json(Plan, json.loads(ran.read_text())) == shown


def test_what_is_not_there_would_be_built_and_is_not(cli: Kubedoctor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = replace(cli, env={**cli.env, "PATH": str(tmp_path / "empty"), "KUBEDOCTOR_BIN_DIR": ""})
    before = tree(tmp_path)
    shown = nothing.ok("up", "--dry-run")
    for component in CONTROL_PLANE:
        assert any(component in line and "would build" in line for line in shown.out.splitlines()), shown.out
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "wish",
    [
        ("--set", "kube-apiserver.no-such-flag=1"),
        ("--feature-gates", "NoSuchGate=true"),
        ("--without", "no-such-component"),
        ("--api-port", "70000"),
        ("--kubernetes", "newest"),
        ("--reach", "6443"),
    ],
    ids=lambda wish: wish[0],
)
def test_wrong_wish_is_told_in_a_line_and_leaves_no_trace(
    cli: Kubedoctor, tmp_path: Path, wish: tuple[str, str]
) -> None:
    before = tree(tmp_path)
    done = cli("up", "--dry-run", *wish)
    assert done.status in (1, 2), done
    assert done.err.startswith("error: "), done.err
    assert done.out == ""
    assert tree(tmp_path) == before
