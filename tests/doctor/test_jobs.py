"""Which check runs on which target."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.checks import MACHINE, cluster, passing

from kubedoctor import Check, Instance, Phase, Target, TargetKind
from kubedoctor.doctor.jobs import jobs
from kubedoctor.doctor.prerequisites import graph

PLANNED = replace(MACHINE, instances=(Instance(name="etcd", source="plan of cluster local", planned=True),))
ONE = cluster("one", "etcd", "kubelet")
TWO = cluster("two", "kubelet")
API = Target(id="api", kind=TargetKind.API, title="an API server")

BOTH = (Phase.PREFLIGHT, Phase.RUNNING)
SWAP = passing("host.swap", phases=BOTH)
KERNEL = passing("host.kernel")
ETCD = passing("etcd.unhealthy", of=("etcd",))
PORT = passing("etcd.port-taken", of=("etcd",), phases=(Phase.PREFLIGHT,))
NODES = passing("cluster.nodes", of=("*",))


def pairs(
    *checks: Check, targets: tuple[Target, ...], phases: tuple[Phase, ...] = tuple(Phase)
) -> list[tuple[str, str, str]]:
    found = jobs(checks, targets, graph(checks), phases=phases)
    return [(job.check.id, job.target.id, job.not_applicable) for job in found]


def test_a_check_runs_on_the_machine_or_where_its_components_are() -> None:
    assert pairs(SWAP, KERNEL, ETCD, PORT, NODES, targets=(PLANNED, ONE, TWO, API)) == [
        ("host.swap", "machine", ""),
        ("host.kernel", "machine", ""),
        ("etcd.port-taken", "machine", ""),
        ("etcd.unhealthy", "one", ""),
        ("cluster.nodes", "one", ""),
        ("cluster.nodes", "two", ""),
        ("cluster.nodes", "api", ""),
    ]


def test_a_check_without_anything_to_look_at_says_so() -> None:
    assert pairs(ETCD, PORT, NODES, targets=(MACHINE,)) == [
        ("etcd.unhealthy", "machine", "no etcd was found"),
        ("etcd.port-taken", "machine", "`up` would start no etcd here"),
        ("cluster.nodes", "machine", "no cluster was found"),
    ]
    either = passing("acme.either", of=("kube-proxy", "k3s"))
    assert pairs(either, targets=(MACHINE, ONE)) == [("acme.either", "machine", "no kube-proxy or k3s was found")]


@pytest.mark.parametrize(
    ("phase", "found"),
    [
        (
            Phase.PREFLIGHT,
            [
                ("host.swap", "machine", ""),
                ("host.kernel", "machine", "it is for running"),
                ("etcd.unhealthy", "machine", "it is for running"),
                ("etcd.port-taken", "machine", ""),
            ],
        ),
        (
            Phase.RUNNING,
            [
                ("host.swap", "machine", ""),
                ("host.kernel", "machine", ""),
                ("etcd.port-taken", "machine", "it is for preflight"),
                ("etcd.unhealthy", "one", ""),
            ],
        ),
    ],
)
def test_a_phase_leaves_out_what_is_of_the_other(phase: Phase, found: list[tuple[str, str, str]]) -> None:
    assert pairs(SWAP, KERNEL, ETCD, PORT, targets=(PLANNED, ONE), phases=(phase,)) == found
