"""Which components run: `--only`, `--without`, `--external`, `--no-node`, START_MODE."""

from __future__ import annotations

from collections.abc import Mapping

from kubedoctor.cluster.planning.names import check_known
from kubedoctor.components import Component, Kind
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError, PlanError

START_MODE_NAMES = frozenset({"kubelet", "kube-proxy"})
"""What local-up-cluster.sh's START_MODE leaves out; it may do so where there is no such component."""


def select(config: ClusterConfig, components: Mapping[str, Component]) -> dict[str, Component]:
    """Return those of *components* that run here.

    Raise ConfigError for a name there is no component of, and PlanError when one that runs comes after one the user
    left out: it would wait for ever.
    """
    for name in config.only:
        check_known(name, components, "--only")
    for name in config.without:
        if config.start_mode and name in START_MODE_NAMES:
            continue
        check_known(name, components, "--without")
    external = {entry.partition("=")[0] for entry in config.external}
    for name in external:
        check_known(name, components, "--external")
    if both := sorted(set(config.only) & set(config.without)):
        raise ConfigError(f"{both[0]} is named by both --only and --without", hint="name it once")

    here = {name: component for name, component in components.items() if config.node or component.kind != Kind.NODE}
    left_out = set(config.without)
    if config.only:
        left_out |= set(here) - set(config.only)
        here |= {name: components[name] for name in config.only}  # named: `--no-node` does not hold for it
    here = {name: component for name, component in here.items() if name not in left_out | external}
    if not here:
        raise ConfigError("nothing is left to run", hint="name fewer components with --without or --external")
    _check_complete(config, here, left_out - external)
    return here


def _check_complete(config: ClusterConfig, here: Mapping[str, Component], missing: set[str]) -> None:
    for component in here.values():
        for needed in component.after:
            if needed in missing and needed not in here:
                names = ",".join([*config.only, needed]) if config.only else ""
                way = f"add it: --only {names}" if names else f"keep it: take it out of --without {needed}"
                raise PlanError(
                    f"{component.name} needs {needed}, which is left out",
                    hint=f"{way}; or say where it runs: --external {needed}=ADDRESS",
                )
