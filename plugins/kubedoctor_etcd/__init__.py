"""etcd, the store of the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, ClusterConfig, Component, Fact, hookimpl
from kubedoctor_etcd.component import NAME, etcd

__all__ = ["NAME", "kubedoctor_checks", "kubedoctor_components", "kubedoctor_facts"]


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return etcd."""
    return [etcd(config)]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about etcd."""
    from kubedoctor_etcd.facts import config_file, our_environment

    return [config_file, our_environment]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of etcd."""
    from kubedoctor_etcd.checks import CHECKS

    return CHECKS
