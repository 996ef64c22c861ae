"""containerd and runc: what runs the containers, and the checks of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, ClusterConfig, Component, Components, Fact, hookimpl
from kubedoctor_runtime.component import components as runtime_components
from kubedoctor_runtime.component import drop_idle_loader

__all__ = ["kubedoctor_checks", "kubedoctor_components", "kubedoctor_facts", "kubedoctor_modify_components"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return containerd and what loads images into it."""
    return runtime_components(config)


@hookimpl
def kubedoctor_modify_components(components: Components) -> None:
    """Leave out what has nothing to load."""
    drop_idle_loader(components)


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about the container runtime."""
    from kubedoctor_runtime.facts import socket_file

    return [socket_file]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the container runtime and runc."""
    from kubedoctor_runtime.checks import CHECKS

    return CHECKS
