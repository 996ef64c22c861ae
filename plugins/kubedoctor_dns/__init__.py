"""CoreDNS in the cluster, and the checks of name resolution."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, ClusterConfig, Components, Manifest, hookimpl
from kubedoctor_dns.manifest import add_image, coredns

__all__ = ["kubedoctor_checks", "kubedoctor_manifests", "kubedoctor_modify_components"]


@hookimpl
def kubedoctor_modify_components(config: ClusterConfig, components: Components) -> None:
    """Have CoreDNS' image loaded."""
    add_image(config, components)


@hookimpl
def kubedoctor_manifests(config: ClusterConfig) -> Iterable[Manifest]:
    """Return CoreDNS, unless it is not wanted."""
    return [coredns(config)] if config.cluster_dns else []


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of name resolution."""
    from kubedoctor_dns.checks import CHECKS

    return CHECKS
