"""A node of our own with faults made in it, one after the other: `check`, of everything, names each of them first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.clusters import commands, eventually, kubectl
from support.command import Kubedoctor
from support.faults import Seen, examined, holding
from support.mounts import fill, small_disk
from support.networks import needs
from support.nodes import SOCKET, Node, added, away, changed, runc_without_seccomp, without

from kubedoctor import Fix, TargetKind
from kubedoctor.doctor.documents import ReportedTarget
from kubedoctor.jsonform import from_json
from kubedoctor.report.fix_text import command_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DISK = 700
"""MiB for etcd's data: it reserves 64 for each file of its log, and is warned of when less than 244 are left."""


@dataclass(frozen=True)
class Shared:
    """The node of all tests; `directory` is for what they need, `disk` is where etcd keeps its data."""

    node: Node
    directory: Path
    disk: Path
    binaries: Mapping[str, Path]

    @property
    def cli(self) -> Kubedoctor:
        return self.node.cli


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, node_binaries: Mapping[str, Path]) -> Iterator[Shared]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    needs("iptables")
    directory = tmp_path_factory.mktemp("own")
    with (
        small_disk(directory / "disk", DISK) as disk,
        commands(directory, node_binaries, ETCD_DIR=str(disk), FAIL_SWAP_ON="true") as cli,
    ):
        cli.ok("up", "--node")
        yield Shared(Node(cli), directory, disk, node_binaries)


def healthy(one: Shared) -> bool:
    """Return whether nothing is found any more."""
    return eventually(lambda: not examined(one.cli).findings(), 60)


# --- the faults -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_socket(one: Shared) -> Iterator[None]:
    """Have containerd's socket removed, as by a clean-up of /run; containerd does not notice."""
    one.cli.ok("enter", "rm", SOCKET)
    yield
    one.node.restarted("containerd")


def stopped(component: str) -> Callable[[Shared], AbstractContextManager[None]]:
    """Return what stops a component, as a debugger does or a careless Ctrl-Z."""

    @contextlib.contextmanager
    def stop(one: Shared) -> Iterator[None]:
        process = one.node.pid(component)
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    stop.__name__ = f"stopped_{component}"
    return stop


def misconfigured(component: str, kind: str) -> Callable[[Shared], AbstractContextManager[None]]:
    """Return what gives a component a file of configuration that it ends of, five times within seconds."""

    @contextlib.contextmanager
    def misconfigure(one: Shared) -> Iterator[None]:
        with changed(one.node.kubelet.with_name(f"{component}.json"), (f'"{kind}"', '"Configuration"')):
            assert one.cli("restart", component).status == 1
            yield
        one.cli.ok("restart", component)

    misconfigure.__name__ = f"misconfigured_{component}"
    return misconfigure


@contextlib.contextmanager
def taken_port(one: Shared) -> Iterator[None]:
    one.cli.ok("stop", "kube-controller-manager")
    with holding(one.cli, 10257):
        assert one.cli("start", "kube-controller-manager").status == 1
        yield
    one.cli.ok("restart", "kube-controller-manager")


@contextlib.contextmanager
def disabled_cri(one: Shared) -> Iterator[None]:
    with changed(one.node.containerd, ("version = 2", 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]')):
        one.node.restarted("containerd")
        yield
    one.node.restarted("containerd")


@contextlib.contextmanager
def bare_runc(one: Shared) -> Iterator[None]:
    bare = runc_without_seccomp(one.directory, one.binaries["runc"].resolve().parent.name)
    good = one.node.runc.readlink()
    one.node.runc.unlink()
    one.node.runc.symlink_to(bare)
    yield
    one.node.runc.unlink()
    one.node.runc.symlink_to(good)


@contextlib.contextmanager
def driver_without_systemd(one: Shared) -> Iterator[None]:
    with changed(one.node.containerd, ("SystemdCgroup = false", "SystemdCgroup = true")):
        one.node.restarted("containerd")
        yield
    one.node.restarted("containerd")


@contextlib.contextmanager
def no_network(one: Shared) -> Iterator[None]:
    with without(one.node.network):
        assert one.node.says("not initialized")
        yield


@contextlib.contextmanager
def broken_network(one: Shared) -> Iterator[None]:
    with added(one.node.networks / "05-old.conflist", '{"cniVersion": "1.0.0", "name": "old", "plugins": ['):
        assert one.node.says("not initialized")
        yield


@contextlib.contextmanager
def no_plugin(one: Shared) -> Iterator[None]:
    with away(one.node.plugins / "ptp"):
        yield


@contextlib.contextmanager
def flushed_rules(one: Shared) -> Iterator[None]:
    one.cli.ok("enter", "iptables", "-t", "nat", "-F")
    yield
    one.node.restarted("kube-proxy")


@contextlib.contextmanager
def stopped_proxy(one: Shared) -> Iterator[None]:
    one.cli.ok("stop", "kube-proxy")
    one.cli.ok("enter", "iptables", "-t", "nat", "-F")
    yield
    one.cli.ok("start", "kube-proxy")


LEFT = """
table ip kube-proxy {
  chain services { ip daddr 10.0.0.1 tcp dport 443 dnat to 198.18.0.1:7777; }
  chain nat-output { type nat hook output priority -105; jump services; }
}
"""


@contextlib.contextmanager
def rules_of_another_mode(one: Shared) -> Iterator[None]:
    """Leave what a kube-proxy in nftables mode left that ended with its cluster."""
    one.cli.ok("enter", "nft", LEFT)
    yield
    one.cli.ok("enter", "nft", "delete", "table", "ip", "kube-proxy")


@contextlib.contextmanager
def no_route(one: Shared) -> Iterator[None]:
    route = one.cli.ok("enter", "ip", "route", "show", "default").out.split()
    one.cli.ok("enter", "ip", "route", "del", "default")
    yield
    one.cli.ok("enter", "ip", "route", "add", *route)


@contextlib.contextmanager
def dns_without_pods(one: Shared) -> Iterator[None]:
    def select(label: str) -> None:
        patch = json.dumps({"spec": {"selector": {"k8s-app": label}}})
        assert kubectl(one.cli, "-n", "kube-system", "patch", "service", "kube-dns", "-p", patch).status == 0

    select("coredns")
    assert eventually(lambda: bool(examined(one.cli, "dns").findings()))
    yield
    select("kube-dns")


@contextlib.contextmanager
def full_disk(one: Shared) -> Iterator[None]:
    filling = fill(one.disk)
    yield
    filling.unlink()


@contextlib.contextmanager
def swap(one: Shared) -> Iterator[None]:
    """Turn 4 MiB of swap on, for as long as it takes a kubelet to end because of it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # /tmp is often a tmpfs, which cannot hold any
        file = Path(directory, "swap")
        file.write_bytes(bytes(4 << 20))
        file.chmod(0o600)
        subprocess.run(["mkswap", file], check=True, capture_output=True)
        if subprocess.run(["swapon", file], capture_output=True, check=False).returncode != 0:
            pytest.skip("no swap can be turned on here")
        try:
            assert one.cli("restart", "kubelet").status == 1
            yield
        finally:
            subprocess.run(["swapoff", file], check=True)
    one.cli.ok("restart", "kubelet")


@contextlib.contextmanager
def no_memory_controller(one: Shared) -> Iterator[None]:
    place = "/sys/fs/cgroup/memory"
    if not Path(place, "cgroup.procs").exists():
        pytest.skip("cgroups of version 2 have all their controllers in one mount")
    one.cli.ok("enter", "umount", place)
    assert one.cli("restart", "kubelet").status == 1
    yield
    one.cli.ok("enter", "mount", "-t", "cgroup", "-o", "memory", "cgroup", place)
    one.cli.ok("restart", "kubelet")


@dataclass(frozen=True)
class Fault:
    """What is done, the check that has to name it, in which words; `fixture`: it is recorded here."""

    check: str
    made: Callable[[Shared], AbstractContextManager[None]]
    words: str
    fixture: bool = False
    also: frozenset[str] = frozenset()


STOPPED = "is stopped, by SIGSTOP or Ctrl-Z"
FAULTS = (
    Fault("runtime.socket-missing", no_socket, f"{SOCKET}, which is gone, though containerd"),
    Fault("etcd.unhealthy", stopped("etcd"), STOPPED),
    Fault("apiserver.not-ready", stopped("kube-apiserver"), STOPPED),
    Fault("controllers.not-working", stopped("kube-controller-manager"), STOPPED),
    Fault("scheduler.not-working", stopped("kube-scheduler"), STOPPED),
    Fault("runtime.not-answering", stopped("containerd"), STOPPED),
    Fault("kubelet.not-running", stopped("kubelet"), STOPPED),
    Fault(
        "kubelet.not-running", misconfigured("kubelet", "KubeletConfiguration"), "kubelet does not run", fixture=True
    ),
    Fault("proxy.not-running", stopped("kube-proxy"), STOPPED),
    Fault("proxy.not-running", misconfigured("kube-proxy", "KubeProxyConfiguration"), "does not run", fixture=True),
    Fault("controllers.port-taken", taken_port, "listens on port 10257, which kube-controller-manager needs"),
    Fault("runtime.cri-disabled", disabled_cri, "disables io.containerd.grpc.v1.cri"),
    Fault("runtime.runc-without-seccomp", bare_runc, "lacks seccomp: no pod starts"),
    Fault("kubelet.cgroup-driver-mismatch", driver_without_systemd, "and systemd does not run here"),
    Fault("cni.no-config", no_network, "there is no network configuration in /etc/cni/net.d"),
    Fault("cni.config-broken", broken_network, "05-old.conflist is not JSON"),
    Fault("cni.plugin-missing", no_plugin, "the network plugin ptp"),
    Fault("proxy.kubernetes-service-missing", flushed_rules, "somebody removed the rules of kube-proxy"),
    Fault("proxy.kubernetes-service-missing", stopped_proxy, "kube-proxy does not run, so no service works"),
    Fault("proxy.leftover-rules", rules_of_another_mode, "rules of one in another mode are left in nftables"),
    Fault("network.no-default-route", no_route, "there is no default route and none to 10.0.0.0/24"),
    Fault("dns.not-answering", dns_without_pods, "has no endpoint: no ready pod of CoreDNS is selected"),
    Fault("host.disk-full", full_disk, "the disk of etcd at", fixture=True),
    Fault("host.swap", swap, "and failSwapOn is true: the kubelet does not start", fixture=True),
    Fault("host.cgroup-controllers-missing", no_memory_controller, "memory is not mounted", fixture=True),
)


def test_nothing_is_found_on_the_healthy_node(shared: Shared) -> None:
    seen = examined(shared.cli)
    assert seen.findings() == []
    assert seen.blind() == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.made.__name__)
def test_a_fault_of_the_node_is_named_first(shared: Shared, fault: Fault) -> None:
    with fault.made(shared):
        seen = examined(shared.cli)
        if fault.fixture:
            examined(shared.cli, fault.check.partition(".")[0], fixture=fault.check)
    (cause, *others) = causes_of(seen)
    assert cause["id"] == fault.check, cause["message"]
    assert fault.words in cause["message"]
    assert cause["fixes"], "it says what to do"
    assert {one["id"] for one in others} <= fault.also
    assert healthy(shared)


def causes_of(seen: Seen) -> list[Mapping[str, Any]]:
    """Return the causes on this cluster and on the machine, the most likely first."""
    return [one for one in seen.report["causes"] if one["target"] in ("machine", seen.cluster)]


# --- what is said to mend it ------------------------------------------------------------------------------------------

MENDED = (
    *(stopped(name) for name in ("etcd", "containerd")),
    no_socket,
    flushed_rules,
    stopped_proxy,
    rules_of_another_mode,
    no_route,
    no_network,
    no_plugin,
)


@pytest.mark.parametrize("made", MENDED, ids=lambda made: made.__name__)
def test_the_command_that_is_told_first_mends_it(
    shared: Shared, made: Callable[[Shared], AbstractContextManager[None]]
) -> None:
    fault = made(shared)
    fault.__enter__()  # and nothing takes it back but the command
    (cause, *_) = causes_of(examined(shared.cli))
    target = ReportedTarget(id="local", kind=TargetKind.KUBEDOCTOR, title="it")
    command = command_of(from_json(Fix, cause["fixes"][0]), target)
    environment = shared.cli.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command], env=environment, cwd=shared.directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert healthy(shared)
