from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.running import looks_running

from kubedoctor.cluster.paths import ClusterPaths

KUBECTL = """#!/bin/sh
printf '%s\\n' "$KUBECONFIG" "$NO_PROXY" "$@"
exit 3
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterPaths]:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    make_executable(tmp_path / "bin" / "kubectl", KUBECTL)
    plan = {
        "kubernetes": "v1.37.2",
        "kubeconfig": "/the/kubeconfig",
        "components": [
            {"name": "etcd", "version": "3.7.3", "binary": "/elsewhere/etcd"},
            {"name": "kube-apiserver", "version": "v1.37.2", "binary": str(tmp_path / "bin" / "kube-apiserver")},
        ],
    }
    cluster = ClusterPaths.of("mine")
    with looks_running(cluster, plan):
        yield cluster


def make_executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def kubedoctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kubedoctor", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "pods", "-o", "json", "--name", "x"],
        ["-n", "kube-system", "--v=6", "get", "pods"],
        ["exec", "-it", "pod", "--", "sh", "-c", "exit 1", "--"],
        ["--help"],
        ["get", "--help", "-h"],
        ["-v", "6", "--no-color", "version"],
        [],
    ],
)
def test_arguments_and_exit_status_are_passed_on_untouched(cluster: ClusterPaths, arguments: list[str]) -> None:
    done = kubedoctor("kubectl", "--name", "mine", *arguments)
    assert done.stdout.splitlines() == ["/the/kubeconfig", "127.0.0.1", *arguments]
    assert done.returncode == 3


def test_the_kubectl_of_the_cache_is_taken_where_none_lies_beside(cluster: ClusterPaths, tmp_path: Path) -> None:
    (tmp_path / "bin" / "kubectl").unlink()
    make_executable(tmp_path / "cache/kubedoctor/bin/kubectl/v1.37.2/kubectl", "#!/bin/sh\necho cached\n")
    assert kubedoctor("kubectl", "--name", "mine", "get", "ns").stdout == "cached\n"


@pytest.mark.parametrize(("version", "taken"), [("v1.36.9", True), ("v1.30.0", False)])
def test_a_kubectl_on_path_is_taken_when_it_is_near_enough(
    cluster: ClusterPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    (tmp_path / "bin" / "kubectl").unlink()
    answer = json.dumps({"clientVersion": {"gitVersion": version}})
    script = f"#!/bin/sh\ncase $1 in version) echo 'Client Version: {version}';; *) echo on path;; esac # {answer}\n"
    make_executable(tmp_path / "path" / "kubectl", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("KUBEDOCTOR_DOWNLOAD", "off")
    monkeypatch.setenv("KUBEDOCTOR_BUILD", "off")
    done = kubedoctor("kubectl", "--name", "mine", "get", "ns")
    assert (done.stdout == "on path\n") is taken
    if not taken:
        assert "kubectl" in done.stderr
        assert done.returncode in (1, 2)


def test_a_stopped_cluster_is_told_with_what_starts_it(cluster: ClusterPaths) -> None:
    cluster.place().state.unlink()
    cluster.place().lock.unlink()
    done = kubedoctor("kubectl", "--name", "mine", "get", "ns")
    assert done.returncode == 1
    assert "cluster `mine` does not run" in done.stderr
    assert "kubedoctor up --name mine" in done.stderr


def test_what_asks_no_api_works_while_the_cluster_is_stopped(cluster: ClusterPaths) -> None:
    cluster.place().state.unlink()
    cluster.place().lock.unlink()
    assert kubedoctor("kubectl", "--name", "mine", "config", "view").returncode == 3
