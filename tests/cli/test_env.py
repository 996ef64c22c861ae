from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import call

from kubedoctor.cli.env import set_lines, unset_lines
from kubedoctor.cluster.paths import ClusterPaths


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "it's a home"))
    monkeypatch.setenv("SHELL", "/bin/bash")
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    cluster = ClusterPaths.of("local")
    cluster.place().directory.mkdir(parents=True)
    return cluster


def test_the_lines_set_the_kubeconfig_in_a_shell(cluster: ClusterPaths) -> None:
    lines = call("env").out
    done = subprocess.run(["sh", "-c", f'{lines}printf %s "$KUBECONFIG"'], capture_output=True, text=True, check=True)
    assert done.stdout == str(cluster.directory / "kubeconfig" / "admin")


def test_a_cluster_that_does_not_run_is_told_beside_the_lines(cluster: ClusterPaths) -> None:
    called = call("env")
    assert called.status == 0
    assert "does not run" in called.err


def test_fish_is_known_by_the_shell_variable(cluster: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert call("env").out.startswith("set -gx KUBECONFIG '")
    assert call("env", "--unset").out == "set -e KUBECONFIG;\n"
    assert call("env", "--unset", "--shell", "zsh").out == "unset KUBECONFIG\n"


def test_an_address_behind_a_proxy_is_taken_out_of_it(cluster: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert "export NO_PROXY=example.com,127.0.0.1\n" in call("env").out


@given(st.text(alphabet=st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=30))
def test_any_value_survives_the_shell(value: str) -> None:
    (line,) = set_lines({"X": value}, "sh")
    script = f'{line}\nprintf %s "$X"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == value


def test_fish_escapes_quotes_and_backslashes() -> None:
    assert set_lines({"X": "it's \\ $x"}, "fish") == ["set -gx X 'it\\'s \\\\ $x';"]
    assert unset_lines(["X"], "fish") == ["set -e X;"]
