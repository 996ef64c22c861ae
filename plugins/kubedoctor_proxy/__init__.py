"""Kube-proxy: how it is run, and the checks of it."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, ClusterConfig, Component, hookimpl
from kubedoctor_proxy.component import proxy

__all__ = ["kubedoctor_checks", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-proxy."""
    return [proxy(config)]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of kube-proxy and the rules of services."""
    from kubedoctor_proxy.checks import CHECKS

    return CHECKS
