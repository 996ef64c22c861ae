"""kube-controller-manager, the controllers of Kubernetes itself."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import ClusterConfig, Component, hookimpl
from kubedoctor_controllers.component import NAME, controller_manager

__all__ = ["NAME", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-controller-manager."""
    return [controller_manager(config)]
