"""Disks that are full, directories that cannot be written or are somebody else's, files that are newer or broken."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import ETCD, files_in, guarded, identity_of, one_directory, place_of, refusal
from support.machine import processes
from support.mounts import fill, read_only, small_disk

from kubedoctor.cli.main import run
from kubedoctor.cluster.identity import is_alive
from kubedoctor.cluster.place import is_held

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and give away files"),
]


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with guarded(tmp_path, binaries) as command:
        yield command


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mebibytes", [1, 8])
def test_disk_that_is_too_small_is_said_to_be_full(tmp_path: Path, binaries: dict[str, Path], mebibytes: int) -> None:
    bin_dir = one_directory(tmp_path, binaries)
    with (
        small_disk(tmp_path / "disk", mebibytes) as disk,
        guarded(tmp_path, binaries, home=disk / "home", bin_dir=bin_dir) as cli,
    ):
        if mebibytes == 1:
            fill(disk)
        foreseen = refusal(cli("up", *ETCD))
        assert f"the disk of etcd at {disk}" in foreseen
        assert "--ignore host.disk-full" in foreseen
        assert "explain host.disk-full" in foreseen
        said = refusal(cli("up", *ETCD, "--ignore", "host.disk-full"))
        assert re.search(r"the disk is full|no space left on device", said)
        assert "KUBEDOCTOR_HOME" in said
        assert str(disk) in said
        assert processes(cli.home) == []
        assert not [name for name in files_in(disk) if "/." in name], "a temporary file was left"
        (disk / "filling").unlink(missing_ok=True)
        if mebibytes == 1:
            assert cli("status").status == 1


def test_disk_that_fills_up_while_a_cluster_runs(tmp_path: Path, binaries: dict[str, Path]) -> None:
    bin_dir = one_directory(tmp_path, binaries)
    with (
        small_disk(tmp_path / "disk", 200) as disk,
        guarded(tmp_path, binaries, home=disk / "home", bin_dir=bin_dir) as cli,
    ):
        assert "warning: the disk of etcd" in cli.ok("up", *ETCD).err
        filling = fill(disk)
        cli.ok("stop", "etcd")
        status = cli("status", "-o", "json").json
        assert status["phase"] == "not-ready"
        assert [(c["state"], c["pid"]) for c in status["components"]] == [("exited", 0)], "status tells of the past"
        started = cli("start", "etcd")
        assert "Traceback" not in started.err
        assert is_alive(identity_of(cli, "keeper"))
        fill(disk)  # again: etcd has let go of what it keeps in reserve
        again = cli("up", *ETCD, "--set", "etcd.log-level=debug")
        assert "the disk is full" in refusal(again)
        down = cli("down")
        assert down.status == 0 or "is stopped, but" in refusal(down)
        assert processes(cli.home) == []
        assert not is_held(place_of(cli))
        status = cli("status", "-o", "json")
        assert status.json["phase"] == "stopped"
        filling.unlink()
        cli.ok("up", *ETCD)


def test_read_only_directory_is_told_and_nothing_starts(cli: Kubedoctor) -> None:
    cli.home.mkdir()
    with read_only(cli.home):
        said = refusal(cli("up", *ETCD))
        assert "ead-only file system" in said
        assert "KUBEDOCTOR_HOME" in said
    cli.ok("up", *ETCD)
    cli.ok("down")
    before = files_in(cli.home)
    with read_only(cli.home):
        said = refusal(cli("up", *ETCD))
        assert "ead-only file system" in said
        assert cli("status").status == 1
        assert cli("down").status == 0
    assert files_in(cli.home) == before
    cli.ok("up", *ETCD)


def test_cluster_on_a_disk_that_becomes_read_only_still_goes_down(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    with read_only(cli.home):
        assert cli.ok("status", "-o", "json").json["phase"] == "ready"
        down = cli("down")
        assert "Traceback" not in down.err
        assert processes(cli.home) == []
        assert cli("status", "-o", "json").json["phase"] == "stopped"
    cli.ok("up", *ETCD)


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part", ["", "clusters", "clusters/local", "clusters/local/places/node-1", "clusters/local/pki"]
)
def test_root_refuses_what_belongs_to_another_user(cli: Kubedoctor, part: str) -> None:
    directory = cli.home / part
    directory.mkdir(parents=True)
    os.chown(directory, 4242, 4242)
    said = refusal(cli("up", *ETCD))
    assert str(directory) in said
    assert "belongs to user 4242" in said
    assert not place_of(cli).plan.exists()
    os.chown(directory, 0, 0)
    cli.ok("up", *ETCD)


@pytest.mark.parametrize("part", ["lock", "plan.json", "state.json", "events.jsonl", "keeper.log", "logs/etcd.log"])
def test_link_that_stands_where_a_file_should_is_not_followed(cli: Kubedoctor, tmp_path: Path, part: str) -> None:
    victim = tmp_path / "precious"
    victim.write_text("precious")
    link = place_of(cli).directory / part
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    done = cli("up", *ETCD)
    assert victim.read_text() == "precious"
    if done.status:
        assert str(link) in refusal(done)


# --- files ------------------------------------------------------------------------------------------------------------

BROKEN = {
    "empty": b"",
    "truncated": b'{"schema_version": 1, "kind": "',
    "binary": bytes(range(256)),
    "null": b"null",
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "other types": b'{"name": 3, "schema_version": "x", "components": 7, "phase": [], "ports": "no"}',
    "big number": b'{"schema_version": 1' + b"0" * 5000 + b"}",
}
COMMANDS = (
    ("status",),
    ("status", "-o", "json"),
    ("clusters",),
    ("logs",),
    ("env",),
    ("restart", "etcd"),
    ("kubectl", "get", "ns"),
    ("enter", "true"),
    ("certs", "list"),
    ("down", "--dry-run"),
    ("down", "--delete", "--dry-run"),
    ("up", "--dry-run", *ETCD),
    ("down",),
)


@pytest.mark.parametrize("file", ["cluster.json", "places/node-1/state.json", "places/node-1/plan.json"])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_file_never_breaks_a_command(
    cli: Kubedoctor,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    file: str,
    content: bytes,
) -> None:
    path = place_of(cli).directory.parents[1] / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for name, value in cli.environment().items():
        monkeypatch.setenv(name, value)
    for command in COMMANDS:
        status = run(command)
        out, err = capfd.readouterr()
        assert status in (0, 1, 2), f"{command}: {status} {out} {err}"
        assert "Traceback" not in out + err, command
        assert "defect" not in out + err, command
    assert path.read_bytes() == content, "a command that only looks has written"


@pytest.mark.parametrize("file", ["cluster.json", "places/node-1/state.json", "places/node-1/plan.json"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff"], ids=["empty", "binary"])
def test_up_goes_over_a_broken_file_or_says_what_to_remove(cli: Kubedoctor, file: str, content: bytes) -> None:
    path = place_of(cli).directory.parents[1] / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    up = cli("up", *ETCD)
    if up.status:
        said = refusal(up)
        assert f"hint: only ports that were chosen are lost without it: rm {path}" in said
        path.unlink()
        cli.ok("up", *ETCD)
    assert json.loads(path.read_bytes())


def test_broken_state_of_a_running_cluster_is_written_anew_and_down_works(cli: Kubedoctor) -> None:
    cli.ok("up", *ETCD)
    place = place_of(cli)
    place.state.write_bytes(b"\0")
    assert cli("status").status in (0, 1)
    cli.ok("restart", "etcd")
    assert cli.ok("status", "-o", "json").json["phase"] == "ready"
    place.state.write_bytes(b"\0")
    cli.ok("down")
    assert processes(cli.home) == []


@pytest.mark.parametrize("file", ["cluster.json", "places/node-1/state.json"])
def test_directory_of_a_newer_version_is_left_alone(cli: Kubedoctor, file: str) -> None:
    path = place_of(cli).directory.parents[1] / file
    path.parent.mkdir(parents=True)
    newer = b'{"schema_version": 99, "kubedoctor": "9.1", "what": "we do not know yet"}'
    path.write_bytes(newer)
    said = refusal(cli("up", *ETCD))
    assert "newer kubedoctor" in said
    assert path.read_bytes() == newer
    assert files_in(cli.home / "clusters") <= {f"local/{file}", "local/places/node-1/lock"}
    assert cli("status").status == 1
