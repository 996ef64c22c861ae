from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from kubedoctor_runtime import checks, seccomp
from kubedoctor_runtime.facts import socket_file
from support.instances import absent, cluster, messages, recorded, running
from support.runtimes import CONTAINERD, KUBELET, SOCKET, facts, status

from kubedoctor import Absent, Check, Denied, Instance, Malformed, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.host.containerd_config import FILE
from kubedoctor.testing import run_check

CONFIG = (host.containerd_config, FILE, 0)
VERSION = (host.cri_version, SOCKET, 0)
STATUS = (host.cri_status, SOCKET, 0)
FILE_AT = (socket_file, SOCKET, 0)
KERNEL = (host.sysctl, "kernel.seccomp.actions_avail")


def result(check: Check, given: Mapping[Any, Any], *instances: Instance) -> Result:
    target = cluster(*(instances or (KUBELET, CONTAINERD)))
    return run_check(check, target, facts=facts({FILE_AT: "socket", **given}))


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda one: one.id)
def test_each_finds_its_fault_on_the_recorded_machine_and_nothing_on_a_healthy_one(check: Check) -> None:
    assert recorded(check).outcome is Outcome.FAILED
    healthy = recorded(check, "healthy-node")
    assert (healthy.outcome, messages(healthy)) == (Outcome.PASSED, [])


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda one: one.id)
def test_without_the_right_to_look_nothing_is_claimed(check: Check) -> None:
    denied = Denied("needs root")
    given = {VERSION: denied, STATUS: denied, FILE_AT: denied, CONFIG: denied, KERNEL: "kill allow"}
    seen = run_check(check, cluster(KUBELET, CONTAINERD), facts=facts(given))
    assert (seen.outcome, seen.reason) == (Outcome.UNKNOWN, "needs root")


# --- the CRI is disabled ----------------------------------------------------------------------------------------------


def disabled(plugin: str, version: int = 2) -> host.ContainerdConfig:
    return host.ContainerdConfig(
        version=version, files=(FILE,), disabled_plugins=(plugin,), disabled_in={plugin: "/conf.d/a.toml"}
    )


def test_the_file_that_disables_it_is_named() -> None:
    (message,) = messages(result(checks.cri_disabled, {CONFIG: disabled("io.containerd.cri.v1.runtime", 3)}))
    assert message == "containerd serves no CRI: /conf.d/a.toml disables io.containerd.cri.v1.runtime"


def test_the_short_name_is_right_in_version_1_and_the_end_in_later_ones() -> None:
    assert "serves no CRI" in messages(result(checks.cri_disabled, {CONFIG: disabled("cri", 1)}))[0]
    assert "containerd ends at once" in messages(result(checks.cri_disabled, {CONFIG: disabled("cri", 2)}))[0]
    assert result(checks.cri_disabled, {CONFIG: disabled("aufs.x")}).outcome is Outcome.PASSED


def test_the_socket_tells_what_the_file_does_not() -> None:
    (message,) = messages(result(checks.cri_disabled, {VERSION: host.CriVersion()}))
    assert message == f"containerd (pid 20) at {SOCKET} serves no CRI"
    (message,) = messages(result(checks.cri_disabled, {VERSION: host.CriVersion(api="v1alpha2")}))
    assert "only v1alpha2 of the CRI, which no kubelet has taken since 1.26" in message


@pytest.mark.parametrize("problem", [Silent("hangs"), Absent("gone"), Malformed("is no gRPC")])
def test_a_runtime_that_does_not_answer_is_left_to_another_check(problem: Exception) -> None:
    assert result(checks.cri_disabled, {VERSION: problem}).outcome is Outcome.PASSED
    unread = result(checks.cri_disabled, {VERSION: problem, CONFIG: Malformed("is not TOML")})
    assert (unread.outcome, unread.reason) == (Outcome.UNKNOWN, "is not TOML")


# --- the socket -------------------------------------------------------------------------------------------------------


def missing(given: Mapping[Any, Any], *instances: Instance) -> Result:
    nothing = {(socket_file, path, 0): Absent("gone") for path in checks.SOCKETS}
    return result(checks.socket_missing, {**nothing, **given}, *instances)


def test_a_runtime_that_does_not_run_is_told_before_its_socket() -> None:
    (message,) = messages(missing({}, KUBELET, absent("containerd")))
    assert message == (f"containerd does not run: kubelet (pid 10) wants its runtime at {SOCKET}, which does not exist")
    (message,) = messages(missing({}, KUBELET))
    assert message.startswith("no runtime is seen to run: kubelet (pid 10) wants")


def test_where_a_runtime_listens_instead_is_told() -> None:
    kubelet = running("kubelet", "--container-runtime-endpoint=unix:///run/x.sock", pid=10)
    gone = {(socket_file, "/run/x.sock", 0): Absent("gone")}
    found = missing({**gone, FILE_AT: "socket"}, kubelet, CONTAINERD)
    (message,) = messages(found)
    assert message.endswith(f"which does not exist: containerd (pid 20) listens at {SOCKET}")
    assert found.findings[0].fixes[0].summary.startswith(f"set containerRuntimeEndpoint to unix://{SOCKET}")
    crio = {(socket_file, "/run/crio/crio.sock", 0): "socket"}
    assert messages(missing({**gone, **crio}, kubelet))[0].endswith("a runtime listens at /run/crio/crio.sock")


def test_a_socket_that_was_removed_under_a_runtime_is_told() -> None:
    (message,) = messages(missing({}))
    assert message.endswith("which is gone, though containerd (pid 20) runs")


def test_what_is_no_socket_is_told() -> None:
    (message,) = messages(result(checks.socket_missing, {FILE_AT: "fifo"}))
    assert message == f"{SOCKET}, where kubelet (pid 10) wants its runtime, is a fifo and no socket"


# --- the answer -------------------------------------------------------------------------------------------------------


def test_a_runtime_that_is_stopped_is_not_waited_for() -> None:
    stopped = running("containerd", pid=20, state="T")
    seen = run_check(
        checks.not_answering, cluster(KUBELET, stopped), facts={(host.containerd_config, FILE, 0): Absent("none")}
    )
    assert messages(seen) == ["containerd (pid 20) is stopped, by SIGSTOP or Ctrl-Z"]


def test_silence_is_told_in_its_own_words() -> None:
    hung = {STATUS: Silent(f"{SOCKET} did not answer within 2 s")}
    assert messages(result(checks.not_answering, hung)) == [
        f"containerd (pid 20) does not answer: {SOCKET} did not answer within 2 s"
    ]
    left = {STATUS: Silent(f"nobody listens at {SOCKET}")}
    (message,) = messages(result(checks.not_answering, left, KUBELET, absent("containerd")))
    assert message == f"containerd does not run: nobody listens at {SOCKET}"


def test_a_runtime_that_says_it_is_not_ready_is_believed() -> None:
    unready = host.CriCondition(type="RuntimeReady", status=False, reason="Starting", message="wait")
    (message,) = messages(result(checks.not_answering, {STATUS: status(conditions=(unready,))}))
    assert message == "containerd (pid 20) says that it is not ready: Starting wait"


def test_kubeadms_name_is_taken() -> None:
    assert checks.not_answering.aliases == ("CRI",)


# --- runc -------------------------------------------------------------------------------------------------------------

GOOD = host.RuncBuild(seccomp=True, evidence="it was built with libseccomp", name="runc")
BARE = host.RuncBuild(seccomp=False, evidence="it was built without the tag seccomp", name="runc")


def judged(build: object, **fields: Any) -> Result:
    at = "/usr/bin/runc"
    given = {KERNEL: "kill allow", (host.program, at, 0): host.Program(path=at), (host.runc_build, at, 0): build}
    return result(seccomp.runc_without_seccomp, {**given, STATUS: status(**fields)})


def test_a_runc_is_judged_by_how_it_was_built() -> None:
    assert judged(GOOD).outcome is Outcome.PASSED
    assert "/usr/bin/runc, with which containerd (pid 20) runs containers, lacks seccomp" in messages(judged(BARE))[0]
    unknown = judged(host.RuncBuild(seccomp=None, evidence="it is neither runc nor crun"))
    assert unknown.outcome is Outcome.UNKNOWN
    assert unknown.reason == "whether /usr/bin/runc can do seccomp: it is neither runc nor crun"


def test_one_that_is_not_the_default_is_a_warning() -> None:
    (finding,) = judged(BARE, default_handler="other").findings
    assert finding.severity is Severity.WARNING


def test_handlers_of_other_kinds_are_not_judged() -> None:
    kata = host.RuntimeHandler(name="kata", type="io.containerd.kata.v2")
    assert judged(BARE, handlers=(kata,)).outcome is Outcome.PASSED


def test_a_kernel_without_seccomp_needs_none() -> None:
    assert result(seccomp.runc_without_seccomp, {KERNEL: Absent("no such setting")}).outcome is Outcome.NOT_APPLICABLE


def test_a_name_is_looked_for_in_the_path_of_containerd() -> None:
    nameless = host.RuntimeHandler(name="runc", type="io.containerd.runc.v2")
    given = {
        KERNEL: "kill",
        STATUS: status(handlers=(nameless,)),
        (host.search_path, 20): ("/a", "/b"),
        (host.program, "/opt/containerd/bin/runc", 0): Absent("gone"),
        (host.program, "/a/runc", 0): host.Program(path="/a/runc", problem="is not executable"),
        (host.program, "/b/runc", 0): host.Program(path="/b/runc"),
        (host.runc_build, "/b/runc", 0): BARE,
    }
    assert messages(result(seccomp.runc_without_seccomp, given))[0].startswith("/b/runc, with which")
    given[host.program, "/b/runc", 0] = Absent("gone")
    found = result(seccomp.runc_without_seccomp, given)
    assert messages(found) == ["containerd (pid 20) finds no runc in its PATH: no pod starts"]
    assert "/opt/containerd/bin:/a:/b" in found.findings[0].evidence[0].observed
