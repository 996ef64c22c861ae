from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from kubedoctor.cli.main import run
from kubedoctor.cluster.paths import ClusterPaths


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache, a home and a directory of its own; nothing is fetched or built."""
    for name, value in {
        "XDG_CACHE_HOME": tmp_path / "cache",
        "KUBEDOCTOR_HOME": tmp_path / "home",
        "HOME": tmp_path,
        "PATH": "/nowhere",
        "KUBEDOCTOR_DOWNLOAD": "off",
        "KUBEDOCTOR_BUILD": "off",
    }.items():
        monkeypatch.setenv(name, str(value))
    for name in ("KUBEBUILDER_ASSETS", "GO_OUT", "KUBE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cached(tmp_path: Path, name: str, version: str) -> Path:
    path = tmp_path / "cache/kubedoctor/bin" / name / version / name
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


def planned(name: str, *binaries: Path) -> ClusterPaths:
    paths = ClusterPaths.of(name)
    paths.place().directory.mkdir(parents=True)
    plan = {"kubernetes": "v1.35.0", "components": [{"name": b.name, "binary": str(b)} for b in binaries]}
    paths.place().plan.write_text(json.dumps(plan))
    return paths


def test_list_marks_what_up_would_run(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = cached(own_home, "kubectl", "v1.37.2")
    cached(own_home, "kubectl", "v1.36.0")
    assert run(["binaries", "list", "kubectl"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["*", "kubectl", "v1.37.2", "cache", "0.0", "MB", str(taken)]
    assert lines[2][:2] == ["kubectl", "v1.36.0"]


def test_list_as_json_has_path_size_and_source(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cached(own_home, "kubectl", "v1.37.2")
    assert run(["binaries", "list", "kubectl", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "Binaries"
    told = {"name": "kubectl", "version": "v1.37.2", "source": "cache", "path": str(path), "chosen": True}
    assert document["binaries"] == [{**told, "size": path.stat().st_size}]


def test_get_tells_where_a_binary_is(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cached(own_home, "kubectl", "v1.37.2")
    assert run(["binaries", "get", "kubectl", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["binaries"][0]["path"] == str(path)


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (
            ["get", "kubectl"],
            1,
            "there is no kubectl v1.37.2: it is in none of the places looked at, and downloads and",
        ),
        (["get", "frobnicator"], 2, "no plugin knows a binary `frobnicator`"),
        (["get", "kubectl", "--kubernetes", "new"], 2, "`new` is not a Kubernetes version"),
        (["list", "kubectl", "--bin-dir", "/nowhere"], 2, "`/nowhere`"),
        (["get", "kubectl", "--binary", "kubectl=/nowhere/kubectl"], 2, "/nowhere/kubectl"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, error: str
) -> None:
    assert run(["binaries", *arguments]) == status
    told = capsys.readouterr().err
    assert error in told
    assert "Traceback" not in told


def test_prune_keeps_the_default_and_what_clusters_use(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    default = cached(own_home, "kube-apiserver", "v1.37.2")
    used, unused = cached(own_home, "kube-apiserver", "v1.35.0"), cached(own_home, "kube-apiserver", "v1.34.0")
    kubectl = cached(own_home, "kubectl", "v1.35.0")
    planned("one", used)
    assert run(["binaries", "prune", "--dry-run"]) == 0
    assert unused.exists()
    assert run(["binaries", "prune"]) == 0
    assert capsys.readouterr().out == "kube-apiserver v1.34.0  0.0 MB\n" * 2
    assert [path.exists() for path in (default, used, kubectl, unused)] == [True, True, True, False]


def test_prune_all_keeps_only_what_runs(own_home: Path) -> None:
    default = cached(own_home, "kube-apiserver", "v1.37.2")
    stopped, running = cached(own_home, "etcd", "v3.6.16"), cached(own_home, "etcd", "v3.5.34")
    planned("stopped", stopped)
    place = planned("running", running).place()
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(["binaries", "prune", "--all"]) == 0
    assert [path.exists() for path in (default, stopped, running)] == [False, False, True]


def test_prune_stops_at_a_plan_that_cannot_be_read(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unused = cached(own_home, "etcd", "v3.5.34")
    planned("one").place().plan.write_text("{")
    assert run(["binaries", "prune"]) == 1
    assert "it is not known which binaries are in use" in capsys.readouterr().err
    assert unused.exists()
