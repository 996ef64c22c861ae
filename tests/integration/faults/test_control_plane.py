"""What is found when kube-apiserver, controllers or the scheduler are ill: on real ones, made so.

One cluster serves all tests that can take their fault back; with leader election, as most clusters have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.certificates import key_pem, new_key
from support.clusters import commands, eventually, got, kubectl, pod
from support.command import Kubedoctor
from support.faults import examined, holding, inside
from support.guarded import pids, place_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKS = ("apiserver", "controllers", "etcd", "scheduler")
ELECTION = ("kube-controller-manager", "kube-scheduler")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path_factory.mktemp("cluster"), binaries) as command:
        elected = [word for name in ELECTION for word in ("--set", f"{name}.leader-elect=true")]
        command.ok("up", "--no-node", *elected)
        yield command


@pytest.fixture
def cli(cluster: Kubedoctor) -> Iterator[Kubedoctor]:
    """The cluster, whole before and after."""
    yield cluster
    assert eventually(lambda: not examined(cluster, *CHECKS).findings(), 60)


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    """Have a process stopped, as by a debugger or a careless Ctrl-Z."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_nothing_is_found_on_a_healthy_control_plane(cli: Kubedoctor) -> None:
    seen = examined(cli, *CHECKS, fixture="healthy-control-plane")
    assert seen.findings() == []
    assert seen.blind() == {}
    for check in ("apiserver.not-ready", "controllers.not-working", "scheduler.not-working"):
        assert seen.outcome(check, "local") == "passed"


def test_a_stopped_apiserver_is_named_before_what_waits_for_it(cli: Kubedoctor) -> None:
    apiserver = pids(cli)["kube-apiserver"]
    with stopped(apiserver):
        seen = examined(cli, *CHECKS)
    assert seen.message("apiserver.not-ready") == f"kube-apiserver (pid {apiserver}) is stopped, by SIGSTOP or Ctrl-Z"
    assert seen.failed() == {"apiserver.not-ready"}
    assert seen.outcome("scheduler.not-working", "local") == "skipped"


def test_a_stopped_etcd_is_the_one_cause_that_is_named(cli: Kubedoctor) -> None:
    with stopped(pids(cli)["etcd"]):
        seen = examined(cli, *CHECKS)
    assert seen.failed() == {"etcd.unhealthy"}


@pytest.mark.parametrize(
    ("component", "check"),
    [("kube-controller-manager", "controllers.not-working"), ("kube-scheduler", "scheduler.not-working")],
)
def test_a_stopped_component_is_found(cli: Kubedoctor, component: str, check: str) -> None:
    process = pids(cli)[component]
    with stopped(process):
        seen = examined(cli, *CHECKS)
    assert seen.message(check) == f"{component} (pid {process}) is stopped, by SIGSTOP or Ctrl-Z"
    assert seen.failed() == {check}


# --- rights -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without(cli: Kubedoctor, *names: str) -> Iterator[None]:
    """Have the bindings that give a component its rights deleted, and put them back."""
    bindings = got(cli, "get", *names)
    assert kubectl(cli, "delete", *names).status == 0
    try:
        yield
    finally:
        for one in bindings.get("items", [bindings]):
            for unwanted in ("resourceVersion", "uid"):
                one["metadata"].pop(unwanted)
            got(cli, "create", "-f", "-", stdin=one)


def test_a_scheduler_without_rights_is_found_though_it_calls_itself_healthy(cli: Kubedoctor) -> None:
    with without(cli, "clusterrolebinding/system:kube-scheduler"):
        got(cli, "create", "-f", "-", stdin=pod("waits"))
        assert cli.ok("enter", "curl", "-sk", "https://127.0.0.1:10259/healthz").out == "ok"
        assert eventually(lambda: bool(examined(cli, *CHECKS).findings()))
        seen = examined(cli, *CHECKS, fixture="scheduler.not-working")
    kubectl(cli, "delete", "pod", "waits", "--force")
    message = seen.message("scheduler.not-working")
    assert "runs and cannot work: the API forbids it what it needs" in message
    assert 'User "system:kube-scheduler" cannot list resource "pods"' in message
    assert seen.failed() == {"scheduler.not-working"}


def test_controllers_without_rights_are_found(cli: Kubedoctor) -> None:
    with without(cli, "clusterrolebinding/system:kube-controller-manager"):
        assert eventually(lambda: bool(examined(cli, *CHECKS).findings()))
        seen = examined(cli, *CHECKS, fixture="controllers.not-working")
    assert 'User "system:kube-controller-manager" cannot list' in seen.message("controllers.not-working")
    assert seen.failed() == {"controllers.not-working"}


def test_a_scheduler_that_is_sent_to_the_wrong_place_is_found_though_it_calls_itself_healthy(
    cli: Kubedoctor, tmp_path: Path
) -> None:
    original = cli.home / "clusters" / "local" / "kubeconfig" / "scheduler"
    wrong = tmp_path / "scheduler"
    wrong.write_text(original.read_text().replace(":6443", ":6442"))
    wrong.chmod(0o600)
    cli.ok("restart", "kube-scheduler", "--set", f"kubeconfig={wrong}")
    try:
        assert cli.ok("enter", "curl", "-sk", "https://127.0.0.1:10259/healthz").out == "ok"
        seen = examined(cli, *CHECKS)
    finally:
        cli.ok("restart", "kube-scheduler", "--set", f"kubeconfig={original}")
    message = seen.message("scheduler.not-working")
    assert f"the API does not answer where {wrong} says: " in message
    assert ":6442 refused the connection" in message
    assert seen.failed() == {"scheduler.not-working"}


# --- leases -----------------------------------------------------------------------------------------------------------


def lease(component: str) -> dict[str, Any]:
    """Return a lease as one leaves it behind who took it for an hour."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": component, "namespace": "kube-system"},
        "spec": {
            "holderIdentity": "old-host_1f0c2e7a",
            "leaseDurationSeconds": 3600,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 1,
        },
    }


@pytest.mark.parametrize(
    ("component", "check", "fixture"),
    [
        ("kube-controller-manager", "controllers.lease-held-elsewhere", "controllers.lease-held-elsewhere"),
        ("kube-scheduler", "scheduler.not-working", ""),
    ],
)
def test_a_lease_that_nobody_alive_holds_is_found(cli: Kubedoctor, component: str, check: str, fixture: str) -> None:
    cli.ok("stop", component)
    assert kubectl(cli, "replace", "--force", "-f", "-", stdin=lease(component)).status == 0
    cli.ok("start", component)
    try:
        assert eventually(lambda: bool(examined(cli, check).failed()), 30)
        seen = examined(cli, *CHECKS, fixture=fixture)
    finally:
        assert kubectl(cli, "-n", "kube-system", "delete", "lease", component).status == 0
    message = seen.message(check)
    assert f"the lease {component} is held by old-host_1f0c2e7a, which has not renewed it for" in message
    assert f"{component} (pid {pids(cli)[component]}) waits for it 59 min more" in message
    assert seen.failed() == {check}
    assert seen.findings(check)[0]["fixes"][0]["steps"][0]["argv"][-3:] == ["delete", "lease", component]


def test_a_killed_leader_leaves_a_lease_that_is_waited_for_and_that_is_no_error(cli: Kubedoctor) -> None:
    process = pids(cli)["kube-scheduler"]
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: pids(cli)["kube-scheduler"] not in (0, process))
    seen = examined(cli, *CHECKS)
    assert seen.failed() == set(), seen.findings()


def test_a_second_instance_that_leads_is_named(cli: Kubedoctor) -> None:
    component = "kube-controller-manager"
    leading = pids(cli)[component]
    argv = argv_of(cli, component)
    with inside(cli, *argv, "--secure-port=20257") as process:
        try:
            assert eventually(lambda: bool(second(argv, leading)), 30)
            assert eventually(lambda: bool(examined(cli, *CHECKS).findings("controllers.lease-held-elsewhere")), 30)
            seen = examined(cli, *CHECKS)
        finally:
            for pid in second(argv, leading):
                os.kill(pid, signal.SIGKILL)
            process.wait(10)
    (finding,) = seen.findings("controllers.lease-held-elsewhere")
    assert finding["severity"] == "warning"
    assert f"(pid {leading}, user" in str(finding["message"])
    assert "does nothing but wait" in str(finding["message"])
    assert seen.failed() == set()


def argv_of(cli: Kubedoctor, component: str) -> list[str]:
    plan = json.loads(place_of(cli).plan.read_text())
    (found,) = [one["argv"] for one in plan["components"] if one["name"] == component]
    return [str(word) for word in found]


def second(argv: list[str], first: int) -> list[int]:
    """Return the processes with this command line and a port of their own."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != first:
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[: len(argv)] == argv and "--secure-port=20257" in words:
                    found.append(int(process.name))
    return found


# --- flags ------------------------------------------------------------------------------------------------------------


def test_a_signing_key_that_the_apiserver_does_not_know_is_found(cli: Kubedoctor, tmp_path: Path) -> None:
    component = "kube-controller-manager"
    key = tmp_path / "sa-old.key"
    key.write_bytes(key_pem(new_key()))
    key.chmod(0o600)
    cli.ok("restart", component, "--set", f"service-account-private-key-file={key}")
    try:
        seen = examined(cli, *CHECKS, fixture="apiserver.service-account-key-mismatch")
    finally:
        cli.ok("restart", component, "--set", "service-account-private-key-file-")
        original = cli.home / "clusters" / "local" / "pki" / "service-account.key"
        cli.ok("restart", component, "--set", f"service-account-private-key-file={original}")
    message = seen.message("apiserver.service-account-key-mismatch")
    assert message.startswith(f"{component} signs tokens with {key}, whose public key kube-apiserver does not know")
    assert seen.failed() == {"apiserver.service-account-key-mismatch"}


def test_an_apiserver_that_lets_nobody_ask_unknown_is_alive_and_is_asked_as_somebody(cli: Kubedoctor) -> None:
    cli("restart", "kube-apiserver", "--set", "anonymous-auth=false")
    try:
        refused = cli.ok("enter", "curl", "-sk", "https://127.0.0.1:6443/readyz")
        assert "Unauthorized" in refused.out
        assert eventually(lambda: not examined(cli, *CHECKS).findings(), 40)
        seen = examined(cli, *CHECKS)
        assert seen.outcome("apiserver.not-ready", "local") == "passed"
    finally:
        cli.ok("restart", "kube-apiserver", "--set", "anonymous-auth-")


def test_an_apiserver_that_shuts_down_slowly_is_alive_and_not_ready(cli: Kubedoctor) -> None:
    cli.ok("restart", "kube-apiserver", "--set", "shutdown-delay-duration=60s")
    apiserver = pids(cli)["kube-apiserver"]
    os.kill(apiserver, signal.SIGTERM)
    try:
        assert eventually(lambda: bool(examined(cli, "apiserver.not-ready").findings()))
        seen = examined(cli, *CHECKS, fixture="apiserver.not-ready")
    finally:
        os.kill(apiserver, signal.SIGKILL)
        cli.ok("restart", "kube-apiserver", "--set", "shutdown-delay-duration-")
    assert f"kube-apiserver (pid {apiserver}) is not ready: shutdown" in seen.message("apiserver.not-ready")
    assert seen.failed() <= {"apiserver.not-ready"}
    assert seen.outcome("controllers.not-working", "local") == "skipped"


# --- what does not start ----------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path, binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as command:
        yield command


def test_a_loopback_address_to_advertise_is_found(fresh: Kubedoctor) -> None:
    flags = ("advertise-address=127.0.0.1", "endpoint-reconciler-type=lease")
    wishes = [word for flag in flags for word in ("--set", f"kube-apiserver.{flag}")]
    up = ("up", "--keep", "--only", "etcd,kube-apiserver", *wishes)
    refused = fresh(*up)
    assert refused.status == 1
    assert "told to advertise 127.0.0.1, a loopback address" in refused.err
    assert fresh(*up, "--ignore", "apiserver.advertise-loopback").status == 1
    seen = examined(fresh, *CHECKS, fixture="apiserver.advertise-loopback")
    assert "told to advertise 127.0.0.1, a loopback address" in seen.message("apiserver.advertise-loopback")
    assert seen.failed() == {"apiserver.advertise-loopback"}


def test_a_taken_port_of_the_apiserver_is_found_before_and_after_the_start(fresh: Kubedoctor) -> None:
    fresh.ok("up", "--only", "etcd,kube-apiserver")
    fresh.ok("stop", "kube-apiserver")
    with holding(fresh, 6443, "0.0.0.0"):
        assert fresh("start", "kube-apiserver").status == 1
        seen = examined(fresh, *CHECKS, fixture="apiserver.port-taken")
    assert "listens on port 6443, which kube-apiserver needs" in seen.message("apiserver.port-taken")
    assert seen.failed() == {"apiserver.port-taken"}


@pytest.mark.parametrize(
    ("component", "port", "check"),
    [
        ("kube-controller-manager", 10257, "controllers.port-taken"),
        ("kube-scheduler", 10259, "scheduler.port-taken"),
    ],
)
def test_a_taken_port_of_a_component_is_found(cli: Kubedoctor, component: str, port: int, check: str) -> None:
    cli.ok("stop", component)
    try:
        with holding(cli, port):
            assert cli("start", component).status == 1
            seen = examined(cli, *CHECKS, fixture=check)
    finally:
        cli.ok("restart", component)
    assert f"listens on port {port}, which {component} needs" in seen.message(check)
    assert seen.failed() == {check}
    assert seen.outcome(f"{check.partition('.')[0]}.not-working", "local") == "skipped"
