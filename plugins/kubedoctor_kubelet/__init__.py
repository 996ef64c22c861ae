"""The kubelet: how it is run, and the checks of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, ClusterConfig, Component, Fact, Manifest, hookimpl
from kubedoctor_kubelet.component import kubelet
from kubedoctor_kubelet.manifest import no_resizing, rights

__all__ = ["kubedoctor_checks", "kubedoctor_components", "kubedoctor_facts", "kubedoctor_manifests"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return the kubelet."""
    return [kubelet(config)]


@hookimpl
def kubedoctor_manifests(config: ClusterConfig) -> Iterable[Manifest]:
    """Return the rights of nodes where the API server gives them none by itself, and what keeps a kubelet alive."""
    return [*rights(config), *no_resizing(config)]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about the kubelet."""
    from kubedoctor_kubelet.facts import node_name, systemd_runs

    return [node_name, systemd_runs]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the kubelet."""
    from kubedoctor_kubelet.checks import CHECKS

    return CHECKS
