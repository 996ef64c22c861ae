"""The real binaries, got as everybody gets them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries import provide
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError
from kubedoctor.plugins import load

NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd")


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """The control plane, kubectl and etcd of the default version: from the user's cache, or built into it once.

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
        chosen = provide(NAMES, config, lambda name: manager.binaries(name, config))
    except KubedoctorError as problem:
        pytest.fail(f"no real binaries: {problem.message}; {problem.hint}", pytrace=False)
    return {name: Path(binary.path) for name, binary in chosen.items()}
