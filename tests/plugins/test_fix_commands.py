"""What a person is told to type on the recorded machines, where a fault was in a sandbox of ours."""

from __future__ import annotations

import pytest
from support.instances import RECORDINGS

from kubedoctor.doctor.examine import reported_target
from kubedoctor.doctor.recording import unpack
from kubedoctor.plugins import load
from kubedoctor.report.fix_text import command_of
from kubedoctor.testing import examine_recording

COMMANDS = {
    "cni.no-config": "kubedoctor up",
    "cni.plugin-missing": "kubedoctor up",
    "cni.config-broken": "kubedoctor enter mv /etc/cni/net.d/05-old.conflist /etc/cni/net.d/05-old.conflist.disabled",
    "network.no-default-route": "kubedoctor enter ip route replace 10.0.0.0/24 dev kubedoctor0",
    "host.cgroup-controllers-missing": "kubedoctor enter mkdir -p /sys/fs/cgroup/memory && "
    "kubedoctor enter mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory",
    "proxy.leftover-rules.iptables-nft": "kubedoctor enter iptables-legacy -t nat -F KUBE-SERVICES",
    "proxy.kubernetes-service-missing.flushed-nftables": "kubedoctor restart kube-proxy",
    "kubelet.cgroup-driver-mismatch": "kubedoctor restart containerd && kubedoctor restart kubelet",
    "certs.expired": "kubedoctor certs renew client-controller && kubedoctor restart kube-controller-manager",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_is_for_the_sandbox_and_not_for_the_machine(name: str) -> None:
    file = RECORDINGS / f"{name}.json.gz"
    (cause, *_) = examine_recording(file, *load().checks()).causes
    targets = {one.id: reported_target(one) for one in unpack(file.read_bytes()).targets}
    assert command_of(cause.fixes[0], targets[cause.target]) == COMMANDS[name]
