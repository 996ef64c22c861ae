from __future__ import annotations

from typing import Any

from kubedoctor_binaries import checks
from kubedoctor_binaries.facts import kubelet_versions, reported_version
from support.instances import NOW, absent, cluster, messages, recorded, running

from kubedoctor import Absent, Denied, Instance, Malformed, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.testing import run_check

SERVER = running("kube-apiserver", "--etcd-servers=https://127.0.0.1:2379", "--etcd-certfile=/c", "--etcd-keyfile=/k")
ADMIN = host.Identity(kubeconfig="/admin")
VERSION = (reported_version, "https://127.0.0.1:6443/version", 0)
ETCD = (
    reported_version,
    "https://127.0.0.1:2379/version",
    0,
    host.Identity(certificate="/c", key="/k"),
)


def built(version: str) -> host.BuildInfo:
    return host.BuildInfo(path="k8s.io/kubernetes/cmd/x", module="k8s.io/kubernetes", version=version)


def program(pid: int) -> tuple[Any, ...]:
    return (host.build_info, f"/proc/{pid}/exe", 0)


def build(pid: int, version: str) -> dict[Any, Any]:
    return {program(pid): built(version)}


def versions(*instances: Instance, kubeconfig: str = "", **more: Any) -> Result:
    facts: dict[Any, Any] = {(*VERSION, host.NOBODY): "v1.37.2", ETCD: "3.7.3"} | more.get("facts", {})
    return run_check(checks.version_skew, cluster(SERVER, *instances, kubeconfig=kubeconfig), facts=facts, now=NOW)


def test_an_etcd_that_is_too_old_is_found_on_the_recorded_machine() -> None:
    result = recorded(checks.version_skew)
    (finding,) = result.findings
    assert finding.message.startswith("etcd v3.4.23 runs beside kube-apiserver v1.37.2, which Kubernetes does not")
    assert finding.severity is Severity.WARNING


def test_one_version_for_all_is_well() -> None:
    manager, scheduler = running("kube-controller-manager", pid=5), running("kube-scheduler", pid=6)
    facts = build(5, "v1.37.2") | build(6, "v1.36.0")
    assert versions(manager, scheduler, facts=facts).outcome is Outcome.PASSED


def test_each_that_is_too_far_apart_is_found() -> None:
    manager, scheduler = running("kube-controller-manager", pid=5), running("kube-scheduler", pid=6)
    kubelet = running("kubelet", pid=7)
    facts = build(5, "v1.38.0") | build(6, "v1.35.9") | build(7, "v1.33.0")
    beside = "runs beside kube-apiserver v1.37.2, which Kubernetes does not support"
    older = "older than kube-apiserver"
    assert messages(versions(manager, scheduler, kubelet, facts=facts)) == [
        f"kube-controller-manager v1.38.0 {beside}: it must not be newer than kube-apiserver",
        f"kube-scheduler v1.35.9 {beside}: it may be at most 1 minor version {older}",
        f"kubelet v1.33.0 {beside}: it may be at most 3 minor versions {older}",
    ]


def test_the_kubelets_of_all_nodes_are_looked_at_where_an_administrator_is_known() -> None:
    facts = {(kubelet_versions, "/admin"): {"a": "v1.37.2", "b": "v1.32.0"}}
    (finding,) = versions(kubeconfig="/admin", facts=facts).findings
    assert finding.message.startswith("kubelet v1.32.0 on node b runs beside kube-apiserver v1.37.2")
    assert finding.subject == "kubelet b"


def test_metrics_tell_the_version_of_what_runs_and_its_program_does_otherwise() -> None:
    sample = host.Sample(name="kubernetes_build_info", value=1, labels={"git_version": "v1.35.0"})
    metrics = (host.metrics, "https://127.0.0.1:10259/metrics", 0, ("kubernetes_build_info",), ADMIN)
    nodes: dict[Any, Any] = {(kubelet_versions, "/admin"): {}}
    scheduler = running("kube-scheduler", pid=6)
    told = versions(scheduler, kubeconfig="/admin", facts={**nodes, metrics: (sample,)} | build(6, "v1.37.2"))
    assert messages(told)[0].startswith("kube-scheduler v1.35.0")
    refused = versions(scheduler, kubeconfig="/admin", facts={**nodes, metrics: Denied("x")} | build(6, "v1.37.2"))
    assert refused.outcome is Outcome.PASSED
    empty = versions(scheduler, kubeconfig="/admin", facts={**nodes, metrics: ()} | build(6, "v1.37.2"))
    assert empty.outcome is Outcome.PASSED


def test_an_apiserver_that_tells_others_only_is_asked_as_administrator_or_read() -> None:
    secret = {(*VERSION, host.NOBODY): Denied("x")}
    nodes: dict[Any, Any] = {(kubelet_versions, "/admin"): {}}
    told = versions(kubeconfig="/admin", facts={**secret, **nodes, (*VERSION, ADMIN): "v1.37.2"})
    assert told.outcome is Outcome.PASSED
    assert versions(facts=secret | build(100, "v1.37.2")).outcome is Outcome.PASSED
    unknown = versions(facts={**secret, program(100): Denied("needs root")})
    assert (unknown.outcome, unknown.reason) == (Outcome.UNKNOWN, "x")


def test_versions_that_nobody_tells_are_unknown_and_what_was_found_still_counts() -> None:
    scheduler = running("kube-scheduler", pid=6)
    for error in (Denied("needs root"), Absent("no Go program"), Malformed("x")):
        result = versions(scheduler, facts={program(6): error})
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, error.reason)
    manager = running("kube-controller-manager", pid=5)
    both = versions(manager, scheduler, facts=build(5, "v1.30.0") | {program(6): Denied("needs root")})
    assert both.outcome is Outcome.FAILED
    development = versions(scheduler, facts=build(6, ""))
    assert development.reason.startswith("the version of kube-scheduler is not told")
    silent = versions(facts={ETCD: Silent("etcd does not answer")})
    assert silent.reason == "etcd does not answer"
    nodes = versions(kubeconfig="/admin", facts={(kubelet_versions, "/admin"): Denied("no")})
    assert nodes.reason == "no"


def test_a_version_that_was_not_stamped_has_no_rule() -> None:
    scheduler = running("kube-scheduler", pid=6)
    for version in ("v0.0.0-master+$Format:%H$", "v0.0.0-20260101000000-abcdef", "nonsense"):
        assert versions(scheduler, facts=build(6, version)).outcome is Outcome.PASSED


def test_without_an_apiserver_that_runs_there_is_nothing_to_compare() -> None:
    result = run_check(checks.version_skew, cluster(absent("kube-apiserver")), facts={})
    assert result.outcome is Outcome.NOT_APPLICABLE
