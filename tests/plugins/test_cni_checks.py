from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from kubedoctor_cni import checks
from support.instances import cluster, messages, recorded, running
from support.runtimes import CONTAINERD, KUBELET, NO_NETWORK, READY, SOCKET, facts, status

from kubedoctor import Absent, Check, Denied, Instance, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.host.containerd_config import FILE
from kubedoctor.testing import run_check

DIRECTORY = "/etc/cni/net.d"
FILES = (host.cni_files, DIRECTORY, 0)
STATUS = (host.cri_status, SOCKET, 0)
CONFIG = (host.containerd_config, FILE, 0)
REFUSED = status(conditions=(READY, NO_NETWORK), cni_load="cni config load failed")


def file(name: str, *programs: str, problem: str = "", version: str = "1.0.0") -> host.CniFile:
    return host.CniFile(
        path=f"{DIRECTORY}/{name}", network="net", version=version, programs=programs or ("bridge",), problem=problem
    )


def result(check: Check, given: Mapping[Any, Any], *instances: Instance, without: tuple[str, ...] = ()) -> Result:
    names = ("bridge", "host-local", "loopback", "calico")
    plugins: dict[Any, Any] = {
        (host.program, f"/opt/cni/bin/{name}", 0): Absent("gone")
        if name in without
        else host.Program(path=f"/opt/cni/bin/{name}")
        for name in names
    }
    target = cluster(*(instances or (KUBELET, CONTAINERD)))
    return run_check(check, target, facts=facts({FILES: (file("10-a.conflist"),), **plugins, **given}))


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda one: one.id)
def test_each_finds_its_fault_on_the_recorded_machine_and_nothing_on_a_healthy_one(check: Check) -> None:
    assert recorded(check).outcome is Outcome.FAILED
    healthy = recorded(check, "healthy-node")
    assert (healthy.outcome, messages(healthy)) == (Outcome.PASSED, [])


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda one: one.id)
def test_without_the_right_to_look_nothing_is_claimed(check: Check) -> None:
    seen = result(check, {FILES: Denied("needs root")})
    assert (seen.outcome, seen.reason) == (Outcome.UNKNOWN, "needs root")


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda one: one.id)
def test_all_is_well_with_one_good_file(check: Check) -> None:
    assert result(check, {}).outcome is Outcome.PASSED


# --- no configuration -------------------------------------------------------------------------------------------------


def test_an_empty_directory_is_told_with_who_looks_there() -> None:
    (message,) = messages(result(checks.no_config, {FILES: (), STATUS: REFUSED}))
    assert message == f"there is no network configuration in {DIRECTORY}, where containerd (pid 20) looks"


def test_a_directory_in_a_table_that_does_not_count_is_the_cause() -> None:
    config = host.ContainerdConfig(
        version=4, files=(FILE,), passed_over={'plugins."io.containerd.grpc.v1.cri" conf_dir': "/etc/cni/mine"}
    )
    (message,) = messages(result(checks.no_config, {FILES: (), STATUS: REFUSED, CONFIG: config}))
    assert message.startswith(f"{FILE} sets /etc/cni/mine for networks in a table that version 4 of it does not have")


def test_where_to_look_is_known_without_an_answer() -> None:
    (message,) = messages(result(checks.no_config, {FILES: (), STATUS: Silent("hangs")}))
    assert DIRECTORY in message


# --- broken configuration ---------------------------------------------------------------------------------------------


def test_a_broken_file_is_told_with_what_comes_of_it() -> None:
    good, broken = file("10-a.conflist"), file("05-b.conf", problem="is not JSON")
    (message,) = messages(result(checks.config_broken, {FILES: (broken, good), STATUS: REFUSED}))
    assert message.endswith("containerd (pid 20) loads no network at all, and does not look at 10-a.conflist")
    (message,) = messages(result(checks.config_broken, {FILES: (broken,), STATUS: REFUSED}))
    assert message.endswith("is not JSON: containerd (pid 20) has no network for pods")
    assert result(checks.config_broken, {FILES: (good, broken)}).outcome is Outcome.PASSED


def test_cri_o_passes_over_a_broken_file_which_is_a_warning() -> None:
    socket = "/run/crio/crio.sock"
    kubelet = running("kubelet", f"--container-runtime-endpoint=unix://{socket}")
    given = {
        FILES: (file("05-b.conf", problem="is not JSON"), file("10-a.conflist")),
        (host.cri_status, socket, 0): status(),
        (host.crio_config, "/etc/crio/crio.conf", "/etc/crio/crio.conf.d", 0): host.CrioConfig(),
    }
    (finding,) = result(checks.config_broken, given, kubelet, running("crio")).findings
    assert finding.severity is Severity.WARNING
    assert finding.message.endswith("it is passed over, and 10-a.conflist is used")


def test_a_version_that_is_not_known_is_told() -> None:
    (message,) = messages(result(checks.config_broken, {FILES: (file("10-a.conflist", version="2.0.0"),)}))
    assert (
        message
        == f"{DIRECTORY}/10-a.conflist is of version 2.0.0 of the CNI, which no plugin knows: pods get no network"
    )


def test_a_good_file_that_was_not_loaded_is_told() -> None:
    (finding,) = result(checks.config_broken, {STATUS: REFUSED}).findings
    assert "has not loaded 10-a.conflist, in which nothing is wrong" in finding.message
    assert "moved or linked" in finding.fixes[0].summary


def test_cri_o_waits_for_the_network_of_its_configuration() -> None:
    socket = "/run/crio/crio.sock"
    kubelet = running("kubelet", f"--container-runtime-endpoint=unix://{socket}")
    config = host.CrioConfig(default_network="mine")
    given = {
        FILES: (file("10-a.conflist"),),
        (host.cri_status, socket, 0): host.CriStatus(conditions=(READY, NO_NETWORK)),
        (host.crio_config, "/etc/crio/crio.conf", "/etc/crio/crio.conf.d", 0): config,
    }
    (message,) = messages(result(checks.no_config, given, kubelet, running("crio")))
    assert message.startswith(f"there is no configuration of the network mine in {DIRECTORY}")


# --- plugins ----------------------------------------------------------------------------------------------------------


def test_a_plugin_that_is_missing_is_told_though_the_runtime_is_content() -> None:
    (message,) = messages(result(checks.plugin_missing, {}, without=("bridge",)))
    assert message == (
        f"the network plugin bridge, which {DIRECTORY}/10-a.conflist needs, is not in /opt/cni/bin: "
        "no pod starts, though the node is Ready"
    )


def test_the_loopback_plugin_is_needed_by_containerd_itself() -> None:
    (message,) = messages(result(checks.plugin_missing, {}, without=("loopback",)))
    assert "the network plugin loopback, which containerd (pid 20) needs for every pod" in message
    own = {STATUS: status(internal_loopback=True)}
    assert result(checks.plugin_missing, own, without=("loopback",)).outcome is Outcome.PASSED


def test_only_what_the_file_in_use_needs_is_looked_for() -> None:
    both = (file("10-a.conflist"), file("20-b.conflist", "calico"))
    assert result(checks.plugin_missing, {FILES: both}, without=("calico",)).outcome is Outcome.PASSED
    all_of_them = {FILES: both, STATUS: status(cni_max_conf=0)}
    assert result(checks.plugin_missing, all_of_them, without=("calico",)).outcome is Outcome.FAILED


def test_a_file_that_was_left_over_is_suspected_first() -> None:
    both = (file("00-calico.conflist", "calico"), file("10-a.conflist"))
    (finding,) = result(checks.plugin_missing, {FILES: both}, without=("calico",)).findings
    assert finding.fixes[0].summary.startswith("if 00-calico.conflist is left over from an add-on")


def test_the_first_directory_that_has_it_counts() -> None:
    given = {
        STATUS: status(cni_bin_dirs=("/a", "/opt/cni/bin")),
        (host.program, "/a/loopback", 0): Absent("gone"),
        (host.program, "/a/bridge", 0): host.Program(path="/a/bridge", problem="is empty"),
    }
    (message,) = messages(result(checks.plugin_missing, given))
    assert "at /a/bridge is empty" in message


def test_a_name_with_a_slash_is_never_looked_for() -> None:
    (message,) = messages(result(checks.plugin_missing, {FILES: (file("10-a.conflist", "../../bin/sh"),)}))
    assert "is no name of a plugin" in message


def test_what_a_plugin_says_of_its_state_is_passed_on() -> None:
    refused = status(conditions=(READY, NO_NETWORK))
    (message,) = messages(result(checks.plugin_missing, {STATUS: refused}))
    assert message == "containerd (pid 20) says that pods get no network: cni plugin not initialized"
