"""kube-controller-manager, the controllers of Kubernetes itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, ClusterConfig, Component, Fact, hookimpl
from kubedoctor_controllers.component import NAME, controller_manager

__all__ = ["NAME", "kubedoctor_checks", "kubedoctor_components", "kubedoctor_facts"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-controller-manager."""
    return [controller_manager(config)]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about what is left undone."""
    from kubedoctor_controllers.facts import undone

    return [undone]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of kube-controller-manager."""
    from kubedoctor_controllers.checks import CHECKS

    return CHECKS
