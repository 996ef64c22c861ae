"""Whether kubelet and kube-proxy run, which nothing else of a node tells before something changes."""

from __future__ import annotations

import pytest
from kubedoctor_kubelet import checks
from kubedoctor_proxy import running as proxy
from support.instances import absent, cluster, machine, messages, planned, recorded, running

from kubedoctor import Check, StepKind
from kubedoctor.checks import Outcome
from kubedoctor.testing import run_check

BOTH = (("kubelet", checks.not_running), ("kube-proxy", proxy.not_running))


@pytest.mark.parametrize(("name", "check"), BOTH)
def test_one_that_ended_is_found_on_the_recorded_machine(name: str, check: Check) -> None:
    result = recorded(check)
    assert messages(result) == [f"{name} does not run"]
    (step,) = result.findings[0].fixes[0].steps
    assert (step.kind, step.component) == (StepKind.RESTART_COMPONENT, name)
    assert recorded(check, "healthy-node-network").outcome is Outcome.PASSED


@pytest.mark.parametrize(("name", "check"), BOTH)
def test_one_that_is_stopped_or_held_is_told_from_one_that_runs(name: str, check: Check) -> None:
    assert run_check(check, cluster(running(name)), facts={}).outcome is Outcome.PASSED
    for state, words in (("T", "is stopped, by SIGSTOP or Ctrl-Z"), ("t", "is held by a debugger")):
        result = run_check(check, cluster(running(name, state=state)), facts={})
        assert messages(result) == [f"{name} (pid 100) {words}"]
    assert messages(run_check(check, cluster(absent(name)), facts={})) == [f"{name} does not run"]


@pytest.mark.parametrize(("name", "check"), BOTH)
def test_one_that_is_planned_need_not_run(name: str, check: Check) -> None:
    assert run_check(check, machine(planned(name)), facts={}).outcome is Outcome.PASSED


def test_services_do_not_work_because_kube_proxy_does_not_run() -> None:
    (finding,) = run_check(proxy.not_running, cluster(absent("kube-proxy")), facts={}).findings
    assert finding.explains == ("proxy.kubernetes-service-missing",)
