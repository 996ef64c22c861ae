from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubedoctor_host.cgroups import cgroup_controllers_missing
from support.instances import absent, cluster, machine, planned, running

from kubedoctor import Denied, Instance, Severity, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import run_check

KUBELET = running("kubelet", pid=812)
V1 = host.Cgroups(
    layout=host.CgroupLayout.V1,
    controllers=("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"),
)
V2 = host.Cgroups(layout=host.CgroupLayout.V2, controllers=("cpu", "cpuset", "hugetlb", "io", "memory", "pids"))
RASPBERRY = replace(V2, controllers=("cpu", "cpuset", "io", "pids"), disabled=("memory",))
"""Raspberry Pi OS 12 before cgroup_enable=memory: /proc/cgroups says 0 for memory."""


def found(cgroups: host.Cgroups | Exception, kubelet: Instance = KUBELET) -> Result:
    return run_check(cgroup_controllers_missing, cluster(kubelet), facts={(host.cgroups, 0): cgroups})


@pytest.mark.parametrize("cgroups", [V1, V2, replace(V1, layout=host.CgroupLayout.HYBRID)])
def test_all_controllers_are_well(cgroups: host.Cgroups) -> None:
    assert found(cgroups).outcome is Outcome.PASSED


def test_a_controller_that_was_switched_off_is_told_with_the_word_for_the_kernel() -> None:
    (finding,) = found(RASPBERRY).findings
    assert finding.message == (
        "cgroup controllers are missing for the kubelet (pid 812): memory is disabled when the kernel starts"
    )
    assert (finding.subject, finding.severity) == ("cgroup memory", Severity.ERROR)
    assert "cgroup_enable=memory" in finding.fixes[0].summary


def test_a_controller_that_is_not_mounted_is_told_with_the_command() -> None:
    cgroups = replace(V1, controllers=("cpu", "cpuacct", "cpuset", "devices", "freezer", "pids"), unmounted=("memory",))
    (finding,) = found(cgroups).findings
    assert finding.message.endswith("memory is not mounted")
    assert finding.fixes[0].steps[-1].argv[:4] == ("mount", "-t", "cgroup", "-o")


def test_controllers_that_the_outer_cgroup_keeps_are_told() -> None:
    (finding,) = found(replace(V2, controllers=("memory", "pids"))).findings
    assert finding.message.endswith("cpu and cpuset are not available in this cgroup")


def test_a_node_is_judged_by_what_is_mounted_where_it_runs() -> None:
    inside = replace(KUBELET, pid=900, root=850)
    facts: dict[Any, Any] = {(host.cgroups, 0): V2, (host.cgroups, 850): replace(V2, controllers=("cpu",))}
    (finding,) = run_check(cgroup_controllers_missing, cluster(inside), facts=facts).findings
    assert "(pid 900)" in finding.message


def test_a_kubelet_that_ended_because_of_it_is_told_as_one_that_does_not_run() -> None:
    (finding,) = found(RASPBERRY, absent("kubelet")).findings
    assert "for the kubelet (which does not run): memory is disabled" in finding.message
    assert finding.severity is Severity.ERROR


def test_what_up_would_start_needs_them_too() -> None:
    facts: dict[Any, Any] = {(host.cgroups, 0): RASPBERRY}
    (finding,) = run_check(cgroup_controllers_missing, machine(planned("kubelet")), facts=facts).findings
    assert finding.message == "cgroup controllers are missing: memory is disabled when the kernel starts"


def test_a_machine_without_cgroups_is_told() -> None:
    (finding,) = found(host.Cgroups(layout=host.CgroupLayout.NONE)).findings
    assert finding.message.startswith("no cgroups are mounted")


def test_what_cannot_be_read_is_unknown_and_the_rest_is_judged() -> None:
    assert found(Denied("needs root")).outcome is Outcome.UNKNOWN
    facts: dict[Any, Any] = {
        (host.cgroups, 812): Denied("needs root to see what is mounted for process 812"),
        (host.cgroups, 0): RASPBERRY,
    }
    nodes = cluster(replace(KUBELET, root=812), replace(KUBELET, pid=9))
    result = run_check(cgroup_controllers_missing, nodes, facts=facts)
    assert (result.outcome, len(result.findings)) == (Outcome.FAILED, 1)


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.mark.root
def test_a_kubelet_that_lacks_the_memory_controller_is_found(tmp_path: Path) -> None:
    if os.geteuid() != 0 or SharedLook().get(host.cgroups, 0).layout is host.CgroupLayout.V2:
        pytest.skip("needs root, and cgroups of version 1")
    controllers = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "pids"]
    code = (
        "import os, subprocess, sys\n"
        "root, *controllers = sys.argv[1:]\n"
        "os.makedirs(root + '/sys/fs/cgroup')\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'x', root + '/sys/fs/cgroup'], check=True)\n"
        "for one in controllers:\n"
        "    os.mkdir(f'{root}/sys/fs/cgroup/{one}')\n"
        "    subprocess.run(['mount', '-t', 'cgroup', '-o', one, 'x', f'{root}/sys/fs/cgroup/{one}'], check=True)\n"
        "os.chroot(root); os.chdir('/')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        ["unshare", "--mount", sys.executable, "-c", code, str(tmp_path), *controllers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        findings = looked_at(running("kubelet", pid=process.pid, root=process.pid)).findings
        process.kill()
    assert [one.message.rpartition(": ")[2] for one in findings] == ["memory is not mounted"]
    assert findings[0].severity is Severity.ERROR


def looked_at(kubelet: Instance) -> Result:
    judgement = Judgement()
    judgement.judge(cgroup_controllers_missing, CheckContext(SharedLook(), cluster(kubelet)))
    return judgement.result(cgroup_controllers_missing, cluster(kubelet))
