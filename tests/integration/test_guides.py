"""What the guides tell people to type works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import commands, eventually, is_free
from support.command import Kubedoctor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def cli(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as cli:
        kubedoctor = cli.bin_dir / "kubedoctor"
        kubedoctor.write_text(f'#!/bin/sh\nexec {" ".join(cli.argv())} "$@"\n')
        kubedoctor.chmod(0o755)
        yield cli


def blocks(guide: str, language: str) -> list[str]:
    text = (GUIDES / guide).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def typed(cli: Kubedoctor, directory: Path, *lines: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run what a person types into one shell; output and errors come back together."""
    path = f"{cli.bin_dir}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=directory,
        env={**cli.environment(env), "PATH": path, "SHELL": "/bin/sh"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not is_free(9443), reason="the guide's port is somebody else's")
def test_guide_to_webhooks_works_as_it_stands(cli: Kubedoctor, tmp_path: Path) -> None:
    certificate, cluster, requests, questions = blocks("webhooks.md", "sh")
    (server,) = blocks("webhooks.md", "python")
    assert typed(cli, tmp_path, certificate).returncode == 0
    with subprocess.Popen([sys.executable, "-c", server], cwd=tmp_path, stderr=subprocess.DEVNULL) as hook:
        try:
            started = typed(cli, tmp_path, cluster)
            assert "hook created" in started.stdout, started.stdout
            refusal = 'admission webhook "hook.example.com" denied the request'
            environment = 'eval "$(kubedoctor env)"'

            def refused() -> bool:
                return refusal in typed(cli, tmp_path, environment, requests).stdout

            assert eventually(refused)
            answers = typed(cli, tmp_path, questions)
            assert answers.returncode == 0, answers.stdout
            assert '"allowed": true' in answers.stdout
        finally:
            hook.terminate()


def test_guide_from_the_script_works_as_it_stands(cli: Kubedoctor, tmp_path: Path) -> None:
    typed_there = "\n".join(blocks("from-local-up-cluster.md", "sh"))
    # The directories of the guide are the machine's; those of a test are its own.
    lines = typed_there.replace("/var/run/kubernetes", str(tmp_path / "kubernetes")).replace(
        "/tmp/kube-log", "kube-log"
    )
    done = typed(cli, tmp_path, "set -ex", lines)
    assert done.returncode == 0, done.stdout
    assert {path.name for path in (tmp_path / "kube-log").iterdir()} >= {"etcd.log", "kube-apiserver.log"}
    assert f"{tmp_path / 'kubernetes'} is yours and stays" in done.stdout
