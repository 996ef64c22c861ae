"""A port that is taken: by whom decides how much it matters."""

from __future__ import annotations

import pytest
from support.instances import NOW, absent, listener, planned
from support.layouts import process

from kubedoctor import Context, Instance, Severity, host
from kubedoctor.doctor.given import FakeLook
from kubedoctor.doctor.judge import CheckContext
from kubedoctor.host.sockets import Listener
from kubedoctor.testing import MACHINE

NAME = "kube-apiserver"


def severity(instance: Instance, held: Listener, *others: host.Process) -> Severity | None:
    context: Context = CheckContext(
        FakeLook({(host.listeners, instance.net): (held,), host.processes: others}, now=NOW), MACHINE
    )
    (finding,) = host.port_findings(context, instance, [host.WantedPort(address="127.0.0.1", port=6443)])
    return finding.severity


@pytest.mark.parametrize("name", [NAME, "kd-keeper", "kd-supervisor", "k3s"])
def test_a_port_of_another_cluster_is_mentioned_only(name: str) -> None:
    assert severity(planned(NAME), listener(6443, name=name)) is Severity.INFO


@pytest.mark.parametrize("name", ["nc", "etcd", "kd-agent", "kube-apiserver-proxy"])
def test_a_port_of_anything_else_is_in_the_way(name: str) -> None:
    assert severity(planned(NAME), listener(6443, name=name)) is None


def test_what_should_run_already_needs_its_port_whoever_has_it() -> None:
    assert severity(absent(NAME), listener(6443, name=NAME)) is None


def test_an_unseen_holder_is_a_cluster_when_that_user_runs_such_a_component() -> None:
    held = listener(6443, pid=0, uid=0, reason="root can tell which")
    assert severity(planned(NAME), held) is None
    assert severity(planned(NAME), held, process(7, "/usr/bin/kube-apiserver", uid=1)) is None
    assert severity(planned(NAME), held, process(7, "/usr/bin/kube-apiserver", uid=0)) is Severity.INFO
