"""The real binaries, got as everybody gets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.provided import CNI, KUBEADM, NAMES, NODE, provided

LONG = ("test_up.py", "test_host_node.py", "test_check_healthy.py", "test_nodes_side_by_side.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest begin first, so that no worker is alone with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


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
