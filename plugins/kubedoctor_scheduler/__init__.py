"""kube-scheduler, which gives pods their nodes."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import ClusterConfig, Component, hookimpl
from kubedoctor_scheduler.component import NAME, scheduler

__all__ = ["NAME", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-scheduler."""
    return [scheduler(config)]
