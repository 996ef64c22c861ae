from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.instances import absent, cluster, planned, running
from support.runtimes import CONTAINERD, KUBELET, RUNC, SOCKET, facts, status

from kubedoctor import Absent, Denied, FactError, Instance, NotApplicable, Silent, host
from kubedoctor.doctor.judge import CheckContext
from kubedoctor.host.containerd_config import FILE
from kubedoctor.host.crio_config import CrioConfig, crio_config
from kubedoctor.host.runtimes import (
    Runtime,
    node_runtimes,
    runtime_handlers,
    runtime_network,
    same_path,
    served_socket,
)
from kubedoctor.testing import FakeLook

CONFIG = (host.containerd_config, FILE, 0)
STATUS = (host.cri_status, SOCKET, 0)


def context(*instances: Instance, given: Mapping[Any, Any] | None = None) -> CheckContext:
    return CheckContext(FakeLook(facts(given)), cluster(*instances))


def found(*instances: Instance, given: Mapping[Any, Any] | None = None) -> list[Runtime]:
    return node_runtimes(context(*instances, given=given))


def test_a_kubelet_and_the_runtime_it_wants_are_one() -> None:
    (one,) = found(KUBELET, CONTAINERD)
    assert (one.socket, one.kubelet, one.instance) == (SOCKET, KUBELET, CONTAINERD)
    assert one.where == "containerd (pid 20)"


def test_the_socket_is_the_one_the_kubelet_wants() -> None:
    elsewhere = running("kubelet", "--container-runtime-endpoint=unix:///run/other.sock")
    (one,) = found(elsewhere, CONTAINERD)
    assert (one.socket, one.instance, one.wanted_by) == ("/run/other.sock", None, "--container-runtime-endpoint")
    assert one.name == "the runtime"


def test_var_run_is_run() -> None:
    assert same_path("/var/run/containerd/containerd.sock", SOCKET)
    (one,) = found(running("kubelet", f"--container-runtime-endpoint=unix:///var{SOCKET}"), CONTAINERD)
    assert one.instance is CONTAINERD


def test_a_runtime_without_a_kubelet_is_looked_at_where_it_listens() -> None:
    (one,) = found(running("containerd", "--address", "/run/mine.sock"))
    assert (one.socket, one.kubelet) == ("/run/mine.sock", None)
    (one,) = found(CONTAINERD, given={CONFIG: host.ContainerdConfig(address="/run/file.sock")})
    assert one.socket == "/run/file.sock"
    (one,) = found(running("crio", "--listen=/run/c.sock"))
    assert (one.socket, one.name, one.passes_over_broken) == ("/run/c.sock", "crio", True)


def test_one_program_with_all_in_it_has_its_own_socket() -> None:
    own = running("containerd", "-c", "/k3s.toml", "-a", "/run/k3s/containerd/containerd.sock")
    (one,) = found(running("k3s", "server"), own)
    assert (one.socket, one.instance) == ("/run/k3s/containerd/containerd.sock", own)


def test_a_runtime_on_no_unix_socket_is_none() -> None:
    with pytest.raises(NotApplicable):
        found(running("kubelet", "--container-runtime-endpoint=tcp://127.0.0.1:1"), CONTAINERD)
    with pytest.raises(NotApplicable):
        found(planned("containerd"), planned("kubelet"))


def test_one_that_runs_is_taken_before_one_that_should() -> None:
    (one,) = found(KUBELET, absent("containerd"), CONTAINERD)
    assert one.instance is CONTAINERD


def test_a_configuration_that_is_denied_is_no_default() -> None:
    with pytest.raises(Denied):
        served_socket(context(given={CONFIG: Denied("needs root")}), CONTAINERD)


def test_a_configuration_that_was_asked_for_has_to_be_there() -> None:
    asked = running("containerd", "--config=/c.toml")
    with pytest.raises(Absent):
        served_socket(context(given={(host.containerd_config, "/c.toml", 0): Absent("gone")}), asked)


# --- the network ------------------------------------------------------------------------------------------------------


def network(given: Mapping[Any, Any] | None = None, *instances: Instance) -> host.RuntimeNetwork:
    one = context(*(instances or (KUBELET, CONTAINERD)), given=given)
    return runtime_network(one, node_runtimes(one)[0])


def test_what_the_runtime_says_counts_more_than_its_file() -> None:
    file = host.ContainerdConfig(cni_conf_dir="/file", cni_bin_dirs=("/bin",))
    assert network({CONFIG: file}).conf_dir == "/etc/cni/net.d"
    silent = network({CONFIG: file, STATUS: Silent("hangs")})
    assert (silent.conf_dir, silent.bin_dirs, silent.most) == ("/file", ("/bin",), 1)


def test_without_both_the_default_counts() -> None:
    told = network({STATUS: Silent("hangs")})
    assert (told.conf_dir, told.bin_dirs, told.told_by) == ("/etc/cni/net.d", ("/opt/cni/bin",), "containerd's default")


def test_all_files_may_be_wanted() -> None:
    assert network({STATUS: status(cni_max_conf=0)}).most == 0


def test_a_loopback_of_its_own_needs_no_plugin() -> None:
    assert network().needs_loopback
    assert not network({STATUS: status(internal_loopback=True)}).needs_loopback


def test_a_runtime_that_tells_nothing_is_not_guessed_at() -> None:
    kubelet = running("kubelet", "--container-runtime-endpoint=unix:///run/strange.sock")
    given = {(host.cri_status, "/run/strange.sock", 0): host.CriStatus()}
    with pytest.raises(FactError, match="does not tell where"):
        network(given, kubelet)


def test_cri_o_says_it_by_its_files() -> None:
    kubelet = running("kubelet", "--container-runtime-endpoint=unix:///run/crio/crio.sock")
    files = (crio_config, "/etc/crio/crio.conf", "/etc/crio/crio.conf.d", 0)
    silent = {(host.cri_status, "/run/crio/crio.sock", 0): host.CriStatus()}
    told = network({**silent, files: CrioConfig()}, kubelet, running("crio"))
    assert (told.conf_dir, told.bin_dirs, told.default) == ("/etc/cni/net.d", ("/opt/cni/bin",), "")
    config = CrioConfig(network_dir="/n/", plugin_dirs=("/p",), default_network="mine", socket="/run/crio/crio.sock")
    told = network({**silent, files: config}, kubelet, running("crio"))
    assert (told.conf_dir, told.bin_dirs, told.default) == ("/n", ("/p",), "mine")


def test_cri_dockerd_says_it_by_flags() -> None:
    kubelet = running("kubelet", "--container-runtime-endpoint=unix:///run/cri-dockerd.sock")
    docker = running("cri-dockerd", "--cni-conf-dir=/d", "--cni-bin-dir=/a,/b")
    given = {(host.cri_status, "/run/cri-dockerd.sock", 0): host.CriStatus()}
    told = network(given, kubelet, docker)
    assert (told.conf_dir, told.bin_dirs) == ("/d", ("/a", "/b"))


def test_handlers_are_told_by_the_runtime_its_file_or_the_default() -> None:
    def handlers(given: Mapping[Any, Any]) -> tuple[str, list[str]]:
        one = context(KUBELET, CONTAINERD, given=given)
        default, told = runtime_handlers(one, node_runtimes(one)[0])
        return default, [each.binary for each in told]

    assert handlers({}) == ("runc", ["/usr/bin/runc"])
    assert handlers({STATUS: Silent("hangs")}) == ("runc", [""])
    file = host.ContainerdConfig(default_handler="mine", handlers=(RUNC,))
    assert handlers({STATUS: Silent("hangs"), CONFIG: file}) == ("mine", ["/usr/bin/runc"])
