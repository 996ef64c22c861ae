"""Where the binaries of Kubernetes and etcd come from, as data: places on this machine, releases, Go modules."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Candidate, ClusterConfig, hookimpl


@hookimpl
def kubedoctor_binaries(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    """Offer every place where *name* is, and the recipes to get it where it is not."""
    from kubedoctor_binaries import places, recipes

    yield from places.found(name, config)
    yield from recipes.recipes(name, config)
