"""Where the binaries of Kubernetes and etcd come from, as data: places on this machine, releases, Go modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kubedoctor import Candidate, Check, ClusterConfig, Fact, hookimpl


@hookimpl
def kubedoctor_binaries(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    """Offer every place where *name* is, and the recipes to get it where it is not."""
    from kubedoctor_binaries import places, recipes

    yield from places.found(name, config)
    yield from recipes.recipes(name, config)


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return the facts about versions that run."""
    from kubedoctor_binaries.facts import kubelet_versions, reported_version

    return [kubelet_versions, reported_version]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the check of versions that run together."""
    from kubedoctor_binaries.checks import CHECKS

    return CHECKS
