"""`kubedoctor setup` on machines that are directories: what it tells, what it runs, what it says when that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import call
from support.machines import EVERYTHING, machine

from kubedoctor.cluster.setup.machine import Machine

LACKING = {"iptables", "nft"}


@pytest.fixture
def alpine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without iptables, and an `apk` that installs it; return its root."""
    root = tmp_path / "root"
    machine(root, "alpine", set(EVERYTHING) - LACKING)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apk").write_text(
        f"#!/bin/sh\necho installing $2\n[ -e {tmp_path}/no ] && exit 7\n[ -e {tmp_path}/lie ] && exit 0\n"
        f"cp /bin/true {root}/usr/sbin/$2\n"
    )
    (programs / "apk").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr("kubedoctor.cluster.setup.missing.Machine", lambda: Machine(root, path=(), kernel="x"))
    monkeypatch.setattr("kubedoctor.cli.setup._as_root", lambda step: step)
    monkeypatch.setattr("kubedoctor.cluster.setup.missing.current_user", lambda: "")
    return root


def test_a_dry_run_shows_what_is_missing_and_runs_nothing(alpine: Path) -> None:
    done = call("setup", "--dry-run")
    assert done.status == 0
    assert done.out.splitlines() == [
        "missing for a node:",
        "  iptables  kube-proxy writes services with it  iptables",
        "",
        "would be run:",
        "  apk add iptables",
    ]
    assert not (alpine / "usr/sbin/iptables").exists()


def test_yes_runs_it_and_looks_again(alpine: Path) -> None:
    done = call("setup", "--yes")
    assert done.status == 0, done.err
    assert "$ apk add iptables" in done.err
    assert done.err.endswith("done: a node can run here\n")
    again = call("setup", "--yes")
    assert (again.status, again.out) == (0, "")
    assert again.err == "nothing is missing: a node can run here\n"


def test_nobody_who_can_be_asked_is_told_of_yes(alpine: Path) -> None:
    done = call("setup")
    assert done.status == 2
    assert "kubedoctor setup --yes" in done.err


def test_a_command_that_fails_ends_it(alpine: Path) -> None:
    (alpine.parent / "no").touch()
    done = call("setup", "--yes")
    assert done.status == 1
    assert "error: `apk add iptables` failed: exit status 7" in done.err


def test_what_is_still_missing_afterwards_is_told(alpine: Path) -> None:
    (alpine.parent / "lie").touch()
    done = call("setup", "--yes")
    assert done.status == 1
    assert "error: still missing: iptables" in done.err


def test_what_no_command_can_mend_is_told_with_advice(alpine: Path) -> None:
    (alpine / "usr/sbin/iptables").write_text("")
    (alpine / "usr/sbin/iptables").chmod(0o755)
    (alpine / "proc/filesystems").write_text("\text4\n")
    done = call("setup", "--yes")
    assert done.status == 1
    assert "kernel feature overlay" in done.out
    assert "hint: kernel x has no modules here: boot the kernel that is installed, or run another one" in done.err


def test_an_unknown_user_is_refused() -> None:
    done = call("setup", "--user", "no-such-user")
    assert done.status == 2
    assert "error: there is no user `no-such-user`" in done.err


def test_an_ordinary_user_without_sudo_is_told_what_root_types(alpine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubedoctor.cluster.setup.missing.current_user", lambda: "ann")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("kubedoctor.cli.setup._way_to_root", lambda: "")
    done = call("setup", "--yes")
    assert done.status == 1
    assert "hint: as root: kubedoctor setup --user ann" in done.err
