"""kube-scheduler, which gives pods their nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, ClusterConfig, Component, Fact, hookimpl
from kubedoctor_scheduler.component import NAME, scheduler

__all__ = ["NAME", "kubedoctor_checks", "kubedoctor_components", "kubedoctor_facts"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-scheduler."""
    return [scheduler(config)]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about what is left undone."""
    from kubedoctor_scheduler.facts import settings, waiting_pods

    return [settings, waiting_pods]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of kube-scheduler."""
    from kubedoctor_scheduler.checks import CHECKS

    return CHECKS
