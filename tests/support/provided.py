"""The real binaries that tests run, and what else they get from elsewhere.

As a program it gets all of it: before workers begin that have no network.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.packages import unpacked

from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError
from kubedoctor.plugins import load

NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd")
CNI = ("loopback", "bridge", "ptp", "host-local", "portmap", "firewall")
NODE = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc", *CNI, "coredns", "pause")
KUBEADM = ("kubeadm",)
PACKAGES = ("containerd", "runc", "uidmap", "etcd-server")


def provided(names: Iterable[str]) -> dict[str, Path]:
    """Return where *names* are, of the default version: in the user's cache, or built into it now.

    Several pytest workers may ask at once: one builds, the others wait. KUBEDOCTOR_BIN_DIR and KUBE_VERSION are
    honoured.
    """
    config = ClusterConfig(
        download=False,
        bin_dir=os.environ.get("KUBEDOCTOR_BIN_DIR", ""),
        kubernetes=os.environ.get("KUBE_VERSION", ""),
    )
    manager = load()
    try:
        chosen = provide(names, config, lambda name: manager.binaries(name, config))
    except KubedoctorError as problem:
        pytest.fail(f"no real binaries: {problem.message}; {problem.hint}", pytrace=False)
    return {name: Path(binary.path) for name, binary in chosen.items()}


if __name__ == "__main__":
    provided((*NAMES, *NODE, *KUBEADM))
    for package in PACKAGES:
        with contextlib.suppress(pytest.skip.Exception):  # the tests that want it tell why it is not there
            unpacked(package)
