from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kubedoctor_kubelet import checks
from kubedoctor_kubelet.facts import node_name, systemd_runs
from support.instances import cluster, messages, recorded, running
from support.runtimes import CONTAINERD, RUNC, SOCKET, facts, status

from kubedoctor import Absent, Denied, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import run_check

FILE = "/var/lib/kubelet/config.yaml"
FIELDS = (host.kubelet_fields, FILE, 0)
DRIVER = (host.cri_cgroup_driver, SOCKET, 0)
STATUS = (host.cri_status, SOCKET, 0)
CONFIGZ = (host.kubelet_configz, "/admin", 0, 0, "node-1")
VERSIONS = (host.node_versions, "/admin", 0, 0, "node-1")
SYSTEMD = (systemd_runs, 0)
KUBELET = running("kubelet", f"--config={FILE}", "--hostname-override=node-1", pid=10)


def result(
    kubelet: str, runtime: object, given: Mapping[Any, Any] | None = None, *, flags: tuple[str, ...] = ()
) -> Result:
    instance = running("kubelet", *KUBELET.argv[1:], *flags, pid=10)
    known = {
        FIELDS: host.KubeletFields(cgroup_driver=kubelet),
        DRIVER: runtime,
        SYSTEMD: True,
        CONFIGZ: Silent("the kubelet does not answer"),
        VERSIONS: host.NodeVersions(kubelet="v1.37.2", runtime="containerd://2.4.2"),
    }
    target = cluster(instance, CONTAINERD, kubeconfig="/admin")
    return run_check(checks.cgroup_driver_mismatch, target, facts=facts({**known, **(given or {})}))


def test_the_fault_is_found_on_the_recorded_machine_and_nothing_on_a_healthy_one() -> None:
    (message,) = messages(recorded(checks.cgroup_driver_mismatch))
    assert message.endswith("uses the cgroup driver systemd, and systemd does not run here: no pod starts")
    healthy = recorded(checks.cgroup_driver_mismatch, "healthy-node")
    assert (healthy.outcome, messages(healthy)) == (Outcome.PASSED, [])


def test_equal_drivers_are_well() -> None:
    assert result("systemd", "systemd").outcome is Outcome.PASSED
    assert result("", "cgroupfs").outcome is Outcome.PASSED


def test_a_kubelet_that_asks_its_runtime_is_only_mentioned() -> None:
    (finding,) = result("systemd", "cgroupfs").findings
    assert finding.severity is Severity.INFO
    assert finding.message == (
        "kubelet (pid 10) is set to cgroupDriver systemd and uses cgroupfs, as containerd (pid 20) tells it to"
    )
    (finding,) = result("", "systemd").findings
    assert "is set to the default, cgroupfs" in finding.message


def test_an_older_kubelet_does_as_it_is_set_to() -> None:
    old = {VERSIONS: host.NodeVersions(kubelet="v1.30.4", runtime="")}
    (finding,) = result("systemd", "cgroupfs", old).findings
    assert finding.severity is Severity.ERROR
    assert finding.message == (
        "kubelet (pid 10) uses cgroupDriver systemd, containerd (pid 20) uses cgroupfs: no pod starts"
    )


def test_a_gate_that_is_switched_off_counts() -> None:
    (finding,) = result("systemd", "cgroupfs", flags=("--feature-gates=KubeletCgroupDriverFromCRI=false",)).findings
    assert finding.severity is Severity.ERROR


def test_what_the_kubelet_says_it_uses_counts_most() -> None:
    old = {VERSIONS: host.NodeVersions(kubelet="v1.30.4", runtime="")}
    (finding,) = result("systemd", "cgroupfs", {**old, CONFIGZ: host.KubeletFields(cgroup_driver="cgroupfs")}).findings
    assert finding.severity is Severity.INFO
    (finding,) = result("systemd", "cgroupfs", {CONFIGZ: host.KubeletFields(cgroup_driver="systemd")}).findings
    assert finding.severity is Severity.ERROR


def test_an_unknown_version_is_said() -> None:
    for problem in (Silent("the API is down"), Denied("needs root")):
        (finding,) = result("systemd", "cgroupfs", {VERSIONS: problem}).findings
        assert (finding.severity, finding.message.endswith("tells it to, if it is 1.31 or later")) == (
            Severity.INFO,
            True,
        )


def test_a_runtime_that_does_not_tell_is_read_by_its_handler() -> None:
    old = Absent("unknown method RuntimeConfig")
    handler = host.RuntimeHandler(name="runc", type=RUNC.type, systemd_cgroup=True)
    (finding,) = result("cgroupfs", old, {STATUS: status(handlers=(handler,))}).findings
    assert finding.severity is Severity.ERROR
    assert result("systemd", old, {STATUS: status(handlers=(handler,))}).outcome is Outcome.PASSED
    nothing = result("systemd", old, {STATUS: status(default_handler="other")})
    assert (nothing.outcome, nothing.reason) == (Outcome.UNKNOWN, "containerd (pid 20) does not tell its cgroup driver")


def test_the_driver_systemd_needs_systemd() -> None:
    (finding,) = result("systemd", "systemd", {SYSTEMD: False}).findings
    assert finding.severity is Severity.ERROR
    assert "systemd does not run here" in finding.message


@pytest.mark.parametrize("what", [FIELDS, DRIVER])
def test_what_cannot_be_read_is_unknown(what: Any) -> None:
    seen = result("systemd", "systemd", {what: Denied("needs root")})
    assert (seen.outcome, seen.reason) == (Outcome.UNKNOWN, "needs root")


def test_whether_systemd_runs_is_seen_where_everybody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SharedLook().get(systemd_runs, 0) is Path("/run/systemd/system").is_dir()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "Node-1", "6", "v", "x86_64")))
    assert SharedLook().get(node_name) == "node-1"
