"""kube-controller-manager, the controllers of Kubernetes itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Candidate, Check, ClusterConfig, Component, Fact, Manifest, hookimpl
from kubedoctor_controllers.component import NAME, controller_manager
from kubedoctor_controllers.volumes import local_volumes, python, storage_class

__all__ = [
    "NAME",
    "kubedoctor_binaries",
    "kubedoctor_checks",
    "kubedoctor_components",
    "kubedoctor_facts",
    "kubedoctor_manifests",
]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return kube-controller-manager, and what makes volumes for claims."""
    return [controller_manager(config), *([local_volumes(config)] if config.default_storage_class else [])]


@hookimpl
def kubedoctor_manifests(config: ClusterConfig) -> Iterable[Manifest]:
    """Return the default storage class, unless it is not wanted."""
    return [storage_class()] if config.default_storage_class else []


@hookimpl
def kubedoctor_binaries(name: str) -> Iterable[Candidate]:
    """Return what runs the program that makes volumes."""
    return python(name)


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
