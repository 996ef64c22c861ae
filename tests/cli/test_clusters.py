from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import call

from kubedoctor.cluster.paths import ClusterPaths


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))
    return tmp_path


def test_without_a_cluster_the_way_to_one_is_told() -> None:
    called = call("clusters")
    assert (called.status, called.out) == (0, "")
    assert "kubedoctor up" in called.err


def test_every_cluster_is_listed_also_one_that_cannot_be_read() -> None:
    for name in ("b", "a"):
        ClusterPaths.of(name).place().directory.mkdir(parents=True)
    ClusterPaths.of("a").place().plan.write_text('{"kubernetes": "v1.37.2"}')
    ClusterPaths.of("b").place().state.write_text("{")
    called = call("clusters")
    head, a, b = called.out.splitlines()
    assert head.split() == ["name", "phase", "for", "version", "address"]
    assert a.split()[:4] == ["a", "stopped", "-", "v1.37.2"]
    assert "cannot be read" in b


def test_json_is_a_cluster_list() -> None:
    ClusterPaths.of("a").place().directory.mkdir(parents=True)
    document = json.loads(call("clusters", "-o", "json").out)
    assert (document["kind"], document["schema_version"]) == ("ClusterList", 1)
    assert [cluster["name"] for cluster in document["clusters"]] == ["a"]
