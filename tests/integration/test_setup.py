"""A machine without what a node needs: this one, with programs hidden in a mount namespace of the test."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from support.command import Kubedoctor
from support.guarded import refusal
from support.machine import processes

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program"),
]

HIDDEN = 'for file in $0; do mount --bind /dev/null "$file" || exit; done; exec "$@"'


def without(*programs: str) -> tuple[str, ...]:
    """Return what starts an interpreter that does not find *programs*."""
    found = {path for name in programs for place in ("/usr/sbin", "/sbin", "/usr/bin") if (path := real(place, name))}
    return ("unshare", "--mount", "sh", "-c", HIDDEN, " ".join(sorted(found)), sys.executable)


def real(place: str, name: str) -> str:
    path = Path(place, name)
    return str(path.resolve()) if path.exists() else ""


@pytest.fixture
def bare(tmp_path: Path) -> Kubedoctor:
    return Kubedoctor(home=tmp_path / "home", bin_dir=tmp_path, prefix=without("iptables", "nft"))


@pytest.mark.skipif(not shutil.which("apt-get"), reason="what is told is apt's")
def test_up_and_setup_tell_what_is_missing_before_anything_starts(bare: Kubedoctor) -> None:
    said = refusal(bare("up", "--node"))
    assert said.splitlines()[0] == (
        "error: this machine lacks what a node needs: iptables (kube-proxy writes services with it)"
    )
    assert "hint: make it ready: kubedoctor setup" in said
    assert not list(bare.home.glob("clusters/*/places/*/plan.json"))
    assert processes(bare.home) == []
    done = bare.ok("setup", "--dry-run")
    assert done.out.splitlines()[-2:] == [
        "  apt-get update",
        "  env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iptables",
    ]


def test_here_nothing_is_missing(bare: Kubedoctor) -> None:
    done = Kubedoctor(home=bare.home, bin_dir=bare.bin_dir).ok("setup")
    assert (done.out, done.err.splitlines()[0]) == ("", "nothing is missing: a node can run here")
