"""The real binaries, got as everybody gets them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError
from kubedoctor.plugins import load

NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd")
CNI = ("loopback", "bridge", "ptp", "host-local", "portmap", "firewall")
NODE = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc", *CNI, "coredns", "pause")
KUBEADM = ("kubeadm",)


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


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """The control plane, kubectl and etcd."""
    return provided(NAMES)


@pytest.fixture(scope="session")
def node_binaries() -> dict[str, Path]:
    """The control plane and all that a node runs.

    The first time they are built, which takes several minutes: give the tests that ask for them a limit that allows it.
    """
    return provided((*NAMES, *NODE))


@pytest.fixture(scope="session")
def cni_bin_dir(node_binaries: dict[str, Path]) -> Path:
    """The directory that holds the CNI plugins."""
    (directory,) = {node_binaries[plugin].parent for plugin in CNI}
    return directory


@pytest.fixture(scope="session")
def kubeadm() -> Path:
    """The kubeadm of the default version."""
    return provided((*NAMES, *KUBEADM))["kubeadm"]
