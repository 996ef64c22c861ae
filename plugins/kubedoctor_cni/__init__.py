"""The network of pods, and the checks of the configuration that the runtime loads and of its plugins."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, ClusterConfig, Components, hookimpl
from kubedoctor_cni.component import add_network

__all__ = ["kubedoctor_checks", "kubedoctor_modify_components"]


@hookimpl
def kubedoctor_modify_components(config: ClusterConfig, components: Components) -> None:
    """Give the runtime a network."""
    add_network(config, components)


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the network configuration."""
    from kubedoctor_cni.checks import CHECKS

    return CHECKS
