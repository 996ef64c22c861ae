"""Plans of the bundled control plane, without a machine: the binaries are names, and take every flag unless told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubedoctor_apiserver
import kubedoctor_cni
import kubedoctor_controllers
import kubedoctor_dns
import kubedoctor_etcd
import kubedoctor_kubelet
import kubedoctor_proxy
import kubedoctor_runtime
import kubedoctor_scheduler

from kubedoctor.cluster.documents import Plan, PlannedComponent
from kubedoctor.cluster.plan import Wanted, components, make_plan
from kubedoctor.components import Component, Manifest
from kubedoctor.config import ClusterConfig
from kubedoctor.plugins import Manager

DIRECTORY = Path("/var/lib/kubedoctor/clusters/local")
BUNDLED = {
    "apiserver": kubedoctor_apiserver,
    "cni": kubedoctor_cni,
    "controllers": kubedoctor_controllers,
    "dns": kubedoctor_dns,
    "etcd": kubedoctor_etcd,
    "kubelet": kubedoctor_kubelet,
    "proxy": kubedoctor_proxy,
    "runtime": kubedoctor_runtime,
    "scheduler": kubedoctor_scheduler,
}


@dataclass(frozen=True)
class Binary:
    """A chosen binary."""

    path: str
    version: str
    source: str = "bin-dir"
    pending: str = ""


@dataclass(frozen=True)
class Gathered:
    """What plugins say, for tests that need none."""

    components: Mapping[str, Component]
    origins: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class GivenComponents:
    """A plugin manager that has these components."""

    given: tuple[Component, ...]
    given_manifests: tuple[Manifest, ...] = ()

    def components(self, config: ClusterConfig) -> Gathered:
        return Gathered({component.name: component for component in self.given}, {})

    def manifests(self, config: ClusterConfig) -> tuple[Manifest, ...]:
        return self.given_manifests


def bundled() -> Manager:
    """Return the bundled plugins that plan something."""
    manager = Manager()
    for name, module in BUNDLED.items():
        manager.add(name, lambda module=module: module, distribution="kubedoctor", version="0.1")  # type: ignore[misc]
    assert manager.problems == []
    return manager


def configuration(**wishes: Any) -> ClusterConfig:
    """Return the configuration of a cluster without a node, in a fixed directory."""
    return ClusterConfig(**{"node": False, "directory": DIRECTORY, **wishes})


def binaries_for(wanted: Wanted, kubernetes: str = "v1.37.2") -> dict[str, Binary]:
    """Return a binary for each component."""
    versions = {"etcd": "v3.7.3"}
    return {
        name: Binary(f"/opt/kubernetes/{binary}", versions.get(binary, kubernetes))
        for name, binary in wanted.binaries.items()
    }


def knows_everything(path: str, subcommand: Sequence[str]) -> frozenset[str]:
    return frozenset()


def takes_everything(path: str, words: Sequence[str]) -> str | None:
    return None


def plan(
    *,
    flags_of: Callable[[str, Sequence[str]], frozenset[str]] = knows_everything,
    rejects: Callable[[str, Sequence[str]], str | None] = takes_everything,
    kubernetes_version: str = "v1.37.2",
    layers: Mapping[str, str] | None = None,
    bound: Mapping[str, int] | None = None,
    environment: Mapping[str, str] | None = None,
    **wishes: Any,
) -> Plan:
    """Return the plan for *wishes*."""
    config = configuration(**wishes)
    wanted = components(config, bundled(), layers=layers)
    return make_plan(
        config,
        wanted,
        binaries_for(wanted, kubernetes_version),
        flags_of=flags_of,
        rejects=rejects,
        gates_of=lambda path: frozenset({"AllAlpha", "WatchList"}),
        bound=bound,
        environment=environment,
    )


def component(made: Plan, name: str) -> PlannedComponent:
    """Return a component of a plan."""
    return next(item for item in made.components if item.name == name)


def flag(made: Plan, name: str, wanted: str) -> str | None:
    """Return the value of a component's flag, "" for a bare one, None when it is not there."""
    for word in component(made, name).argv[1:]:
        head, _, value = word.partition("=")
        if head == f"--{wanted}":
            return value
    return None
