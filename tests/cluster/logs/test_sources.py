from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubedoctor.cluster.logs.sources import choose, logs_of
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.errors import NotRunning, UsageError


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterPaths:
    cluster = ClusterPaths("local", tmp_path / "local")
    cluster.place().logs.mkdir(parents=True)
    return cluster


def test_logs_are_those_of_the_plan_in_start_order_and_of_earlier_plans(cluster: ClusterPaths) -> None:
    components = [{"name": "etcd", "log": "/elsewhere/etcd.log"}, {"name": "kube-apiserver"}, 7]
    cluster.place().plan.write_text(json.dumps({"components": components}))
    (cluster.place().logs / "kube-proxy.log").touch()
    assert logs_of(cluster) == {
        "etcd": Path("/elsewhere/etcd.log"),
        "kube-proxy": cluster.place().logs / "kube-proxy.log",
        "keeper": cluster.place().keeper_log,
    }


def test_the_keeper_is_shown_only_when_asked_for() -> None:
    logs = {"etcd": Path("e"), "keeper": Path("k")}
    assert list(choose(logs, [])) == ["etcd"]
    assert list(choose(logs, ["keeper"])) == ["keeper"]


def test_an_unknown_component_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no log of `kube-schedule`") as raised:
        choose({"kube-scheduler": Path("k")}, ["kube-schedule"])
    assert raised.value.hint == "did you mean `kube-scheduler`?"


def test_a_cluster_that_never_ran_has_no_logs(cluster: ClusterPaths) -> None:
    with pytest.raises(NotRunning, match="nothing has been logged"):
        choose(logs_of(cluster), [])


def test_several_places_are_told_apart(cluster: ClusterPaths) -> None:
    for place in ("node-1", "node-2"):
        cluster.place(place).logs.mkdir(parents=True, exist_ok=True)
        (cluster.place(place).logs / "kubelet.log").touch()
    logs = logs_of(cluster)
    assert list(choose(logs, ["kubelet"])) == ["node-1/kubelet", "node-2/kubelet"]
    assert list(choose(logs, ["node-2/kubelet"])) == ["node-2/kubelet"]
    assert len(choose(logs, [])) == 2
