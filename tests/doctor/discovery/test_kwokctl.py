"""kwokctl's clusters: what its files say should run."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from support.layouts import faults, kubeconfig, layout, look_at, processes_of

from kubedoctor.doctor.discovery.kwokctl import parse_kwokctl
from kubedoctor.doctor.targets import discover
from kubedoctor.facts import Denied, Malformed
from kubedoctor.targets import TargetKind

WHERE = "/home/dev/.kwok/clusters/kwok"
FILES = {**layout("kwokctl"), f"{WHERE}/kubeconfig.yaml": kubeconfig("https://127.0.0.1:32764")}


def test_a_running_cluster_is_one_target_named_as_kwokctl_does() -> None:
    _, found = discover(look_at(processes_of(faults("kwokctl")), FILES))
    assert (found.id, found.kind, found.directory) == ("kwokctl kwok", TargetKind.KWOKCTL, WHERE)
    assert found.title == "kwokctl cluster kwok, API at port 32764"
    assert found.kubeconfig == f"{WHERE}/kubeconfig.yaml"
    assert [one.name for one in found.instances] == [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    ]
    assert all(one.is_running for one in found.instances)


def test_what_has_ended_is_known_from_its_file() -> None:
    argv = faults("kwokctl")
    expected = argv.pop("kube-scheduler")
    _, found = discover(look_at(processes_of(argv), FILES))
    scheduler = found.first("kube-scheduler")
    assert scheduler is not None
    assert (scheduler.pid, scheduler.source) == (0, f"file {WHERE}/kwok.yaml")
    assert list(scheduler.argv) == expected
    assert (scheduler.directory, scheduler.log) == (WHERE, f"{WHERE}/logs/kube-scheduler.log")


def test_a_cluster_of_which_nothing_runs_any_more_is_still_one() -> None:
    _, found = discover(look_at([], FILES, kwok=(WHERE,)))
    assert found.id == "kwokctl kwok"
    assert len(found.instances) == 5
    assert not any(one.is_running for one in found.instances)


def test_a_file_that_may_not_be_read_is_noted() -> None:
    refused = {f"{WHERE}/kwok.yaml": Denied("needs root to read kwok.yaml")}
    _, found = discover(look_at(processes_of(faults("kwokctl")), refused))
    assert found.notes == ("what should run is not known: needs root to read kwok.yaml",)


def test_components_that_are_containers_are_not_ours_to_tell() -> None:
    assert parse_kwokctl(b"components: [{name: etcd, image: x}, {name: prometheus, binary: /p}, 3]", "x") == ()


@given(st.binary(max_size=300))
def test_any_file_is_read_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(parse_kwokctl(content, "x"), tuple)
