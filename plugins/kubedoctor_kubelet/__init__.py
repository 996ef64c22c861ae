"""The kubelet: how it is run, and the checks of it."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, ClusterConfig, Component, hookimpl
from kubedoctor_kubelet.component import kubelet

__all__ = ["kubedoctor_checks", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return the kubelet."""
    return [kubelet(config)]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the kubelet."""
    from kubedoctor_kubelet.checks import CHECKS

    return CHECKS
