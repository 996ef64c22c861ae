"""etcd, the store of the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import ClusterConfig, Component, hookimpl
from kubedoctor_etcd.component import NAME, etcd

__all__ = ["NAME", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return etcd."""
    return [etcd(config)]
