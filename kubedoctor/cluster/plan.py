"""From wishes to a plan, in two steps with the choice of binaries between them; neither does anything to the machine.

`components` asks the plugins and lays the user's wishes over what they say. With its answer the caller chooses
binaries, issues certificates and binds outside ports; `make_plan` then settles everything. Both are pure: what has to
be asked of the machine is asked through the functions they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from kubedoctor.cluster.documents import Plan, PlannedComponent, PlannedFile, PlannedProbe, PrivateDirectory
from kubedoctor.cluster.planning.ask import listed_gates
from kubedoctor.cluster.planning.environment import base_environment, component_environment
from kubedoctor.cluster.planning.flags import arguments, check_values, drop_unknown
from kubedoctor.cluster.planning.gates import FLAG as GATES
from kubedoctor.cluster.planning.gates import Asked, settle_gates
from kubedoctor.cluster.planning.layers import lay_over
from kubedoctor.cluster.planning.manifests import is_known_to, planned_manifest
from kubedoctor.cluster.planning.order import start_order
from kubedoctor.cluster.planning.origins import attribute
from kubedoctor.cluster.planning.ports import (
    PortWish,
    apply_port_options,
    planned_ports,
    port_wishes,
    publications,
    reaches,
)
from kubedoctor.cluster.planning.probes import API_COMPONENT, api_probe, planned_probe
from kubedoctor.cluster.planning.pulls import planned_pulls
from kubedoctor.cluster.planning.select import select
from kubedoctor.cluster.planning.wire import planned_wire
from kubedoctor.components import Certificate, Component, Kind, Kubeconfig, Manifest
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import PlanError
from kubedoctor.records import dataclass

__all__ = ["ChosenBinary", "PortWish", "Wanted", "components", "make_plan"]


class GatheredComponents(Protocol):
    """The components of all plugins after every `modify`, and which plugin set each (component, flag) last."""

    @property
    def components(self) -> Mapping[str, Component]:
        """The components by name."""

    @property
    def origins(self) -> Mapping[tuple[str, str], str]:
        """The origin of each flag."""


class PluginManager(Protocol):
    """What of the plugin façade is needed here."""

    def components(self, config: ClusterConfig) -> GatheredComponents:
        """Return the components of all plugins."""

    def manifests(self, config: ClusterConfig) -> Iterable[Manifest]:
        """Return the manifests of all plugins."""


class ChosenBinary(Protocol):
    """A binary that was settled on; `pending` ones are still to be downloaded or built, and `path` may be empty."""

    @property
    def path(self) -> str:
        """The file, "" when it is not there yet."""

    @property
    def version(self) -> str:
        """What it tells of itself, such as `v1.37.2`; "" when it does not."""

    @property
    def pending(self) -> str:
        """What has to be done before it is there, "" when it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to run, before binaries are chosen."""

    components: Mapping[str, Component]  # those that run here, in start order
    origins: Mapping[str, Mapping[str, str]]  # component, flag: layer its value came from
    ports: tuple[PortWish, ...]  # to be bound outside; on the host, to be found free
    user_set: Mapping[str, frozenset[str]] = field(default_factory=dict)  # component: flags the user set by themselves
    manifests: tuple[Manifest, ...] = ()
    all_components: Mapping[str, Component] = field(default_factory=dict)  # with those that run elsewhere

    @property
    def binaries(self) -> dict[str, str]:
        """The name of the binary of each component."""
        return {name: component.binary for name, component in self.components.items()}

    @property
    def tools(self) -> frozenset[str]:
        """The names of further binaries: those that components run, and those that images are made of."""
        linked = (name for component in self.components.values() for name in component.links.values())
        shipped = (image.binary for component in self.components.values() for image in component.images)
        return frozenset((*linked, *shipped))

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The leaves to be issued, each once: those of components that run elsewhere are for whoever runs them."""
        return tuple({c.name: c for component in self.all_components.values() for c in component.certificates}.values())

    @property
    def kubeconfigs(self) -> tuple[Kubeconfig, ...]:
        """The kubeconfigs to be written, each once."""
        return tuple({k.name: k for component in self.all_components.values() for k in component.kubeconfigs}.values())


def components(config: ClusterConfig, manager: PluginManager, *, layers: Mapping[str, str] | None = None) -> Wanted:
    """Return what *config* wants to run: all hooks asked, all options for single components applied, in start order.

    *layers* tells where each option's value came from (`Resolved.origins`); without it flags that follow an option have
    their plugin as origin.
    Raise ConfigError for options that name unknown components or exclude each other, and PlanError for components that
    wait for each other or for one that is left out.
    """
    offered = manager.components(config)
    layers = layers or {}
    origins = attribute(
        config, offered.components, offered.origins, layers, lambda other: manager.components(other).components
    )
    layered = lay_over(config, offered.components, origins, layers)
    changed = apply_port_options(config, layered.components)
    selected = select(config, changed)
    here = {name: selected[name] for name in start_order(selected)}
    has_api = API_COMPONENT in here or config.external_address(API_COMPONENT) is not None
    return Wanted(
        components=here,
        origins={name: layered.origins[name] for name in here},
        user_set={name: layered.user_set[name] for name in here},
        ports=port_wishes(config, here),
        manifests=tuple(one for one in manager.manifests(config) if here.keys() >= {*one.needs}) if has_api else (),
        all_components={
            name: component for name, component in changed.items() if config.node or component.kind != Kind.NODE
        },
    )


def make_plan(
    config: ClusterConfig,
    wanted: Wanted,
    chosen: Mapping[str, ChosenBinary],
    *,
    flags_of: Callable[[str, Sequence[str]], frozenset[str]],
    rejects: Callable[[str, Sequence[str]], str | None],
    gates_of: Callable[[str], frozenset[str]] = listed_gates,
    tools: Mapping[str, ChosenBinary] | None = None,
    bound: Mapping[str, int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan of one place.

    *chosen* holds a binary for each component, by component, *tools* those of `Wanted.tools` by name. *flags_of* and
    *rejects* ask one by its path (see `kubedoctor.cluster.binaries.probe`); neither is called for pending ones. *bound*
    holds outside ports by `PortWish.key`; those it lacks are planned as wished for. *environment* is the caller's.

    Raise PlanError where a binary refuses what the user set, or nothing is known of it.
    """
    notes: list[str] = []
    ready = {name: _binary(chosen, component) for name, component in wanted.components.items()}
    settled: dict[str, Component] = {}
    refuses: dict[str, Callable[[list[str]], str | None] | None] = {}
    for name, component in wanted.components.items():
        binary = ready[name]
        is_asked = component.flags and not binary.pending
        known = flags_of(binary.path, component.arguments) if is_asked else frozenset()
        # Who told its version answers instead of starting; another program might do what it is asked about.
        asks = bool(binary.version) and not binary.pending
        refuses[name] = _refuses(rejects, binary.path, component) if asks else None
        settled[name], lines = drop_unknown(
            component, known, wanted.user_set.get(name, frozenset()), version=binary.version, refuses=refuses[name]
        )
        notes += lines

    asked = {
        name: Asked(
            component=component,
            by_user=GATES in wanted.user_set.get(name, ()),
            version=ready[name].version,
            refuses=refuses[name],
        )
        for name, component in settled.items()
        if component.flags.get(GATES)
    }
    gated, lines = settle_gates(
        asked, lambda: frozenset().union(*(gates_of(ready[name].path) for name in asked if not ready[name].pending))
    )
    notes += lines
    settled |= gated
    for name, component in settled.items():
        if (ask := refuses[name]) is not None:
            check_values(component, wanted.user_set.get(name, frozenset()), ask)

    api = api_probe(config, settled.get(API_COMPONENT))
    base = base_environment(environment or {})
    planned = tuple(
        _planned(config, component, ready[component.name], wanted, api, base, bound or {}, tools or {})
        for component in settled.values()
    )
    pulls, lines = planned_pulls(config, settled, environment or {})
    notes += lines
    has_node = any(component.kind is Kind.NODE for component in settled.values())
    kubernetes = _kubernetes(config, wanted, ready)
    return Plan(
        cluster=config.name,
        place=config.place,
        place_kind=config.place_kind.value,
        kubernetes=kubernetes,
        directory=str(config.place_directory),
        address=config.address,
        api=api if API_COMPONENT in settled or config.external_address(API_COMPONENT) is not None else None,
        components=planned,
        manifests=tuple(planned_manifest(config, one, api) for one in wanted.manifests if is_known_to(kubernetes, one)),
        publish=publications(config, bound or {}),
        reach=reaches(config, settled),
        pulls=pulls,
        wire=planned_wire(config),
        private=private_directories(config, settled.values()),
        cgroup=config.pods_cgroup if has_node else "",
        node=has_node,
        kubeconfig=config.kubeconfig("admin"),
        notes=tuple(dict.fromkeys(notes)),
    )


def private_directories(config: ClusterConfig, components: Iterable[Component]) -> tuple[PrivateDirectory, ...]:
    """Return what a sandbox has for itself; on the host there is nothing to hide."""
    if config.place_kind is not PlaceKind.SANDBOX:
        return ()
    paths = dict.fromkeys(path for component in components for path in component.private)
    return tuple(
        PrivateDirectory(path=path, source="" if _is_fleeting(path) else config.private(path)) for path in paths
    )


def _is_fleeting(path: str) -> bool:
    return path.startswith(("/run/", "/var/run/"))


def _binary(chosen: Mapping[str, ChosenBinary], component: Component) -> ChosenBinary:
    if component.name not in chosen:
        raise PlanError(
            f"there is no binary for {component.name}",
            hint=f"name one: --binary {component.name}=PATH, or --bin-dir DIR",
        )
    return chosen[component.name]


def _refuses(
    rejects: Callable[[str, Sequence[str]], str | None], path: str, component: Component
) -> Callable[[list[str]], str | None]:
    return lambda words: rejects(path, [*component.arguments, *words])


def _planned(
    config: ClusterConfig,
    component: Component,
    binary: ChosenBinary,
    wanted: Wanted,
    api: PlannedProbe,
    base: Mapping[str, str],
    bound: Mapping[str, int],
    tools: Mapping[str, ChosenBinary],
) -> PlannedComponent:
    passed = {flag: value for flag, value in component.flags.items() if value is not None}
    return PlannedComponent(
        name=component.name,
        kind=component.kind.value,
        binary=binary.path,
        version=binary.version,
        argv=(binary.path or component.binary, *component.arguments, *arguments(passed), *component.operands),
        env=component_environment(config, base, component.env),
        files=tuple(PlannedFile(path=config.file(f.name), content=f.content, mode=f.mode) for f in component.files),
        links={path: tools[name].path for path, name in component.links.items() if name in tools},
        directories=component.directories,
        data=component.data,
        log=config.log(f"{component.name}.log"),
        ports=planned_ports(config, component, bound),
        after=tuple(name for name in component.after if name in wanted.components),
        early=component.early,
        usable=tuple(planned_probe(config, component, probe, api) for probe in component.usable),
        ready=tuple(planned_probe(config, component, probe, api) for probe in component.ready),
        stop_signal=component.stop.signal,
        stop_timeout=component.stop.timeout,
        ends=component.ends,
        origins={flag: origin for flag, origin in wanted.origins.get(component.name, {}).items() if flag in passed},
    )


def _kubernetes(config: ClusterConfig, wanted: Wanted, ready: Mapping[str, ChosenBinary]) -> str:
    """Return the version of the cluster: that of its API server, else that of another program of Kubernetes."""
    named = [API_COMPONENT, *(n for n, c in wanted.components.items() if GATES in c.flags)]
    return next((ready[name].version for name in named if name in ready and ready[name].version), config.kubernetes)
