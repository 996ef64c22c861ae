"""kube-apiserver, the door to the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, ClusterConfig, Component, hookimpl
from kubedoctor_apiserver.component import NAME, apiserver

__all__ = ["NAME", "kubedoctor_checks", "kubedoctor_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-apiserver."""
    return [apiserver(config)]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of kube-apiserver."""
    from kubedoctor_apiserver.checks import CHECKS

    return CHECKS
