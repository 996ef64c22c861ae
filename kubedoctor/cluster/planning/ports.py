"""Ports: which are wished for outside, where they are published, what of the host is reached from inside."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from kubedoctor.cluster.documents import PlannedPort, Publication, Reach
from kubedoctor.cluster.planning.names import check_known
from kubedoctor.components import Component, Port
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.configuration.wishes import parse_publish, parse_reach
from kubedoctor.errors import ConfigError, PlanError
from kubedoctor.records import dataclass

TRACE_COLLECTOR = 4317
"""OpenTelemetry's port for gRPC: where components send their traces, on the host's loopback."""


DEFAULT_CLUSTER = ClusterConfig().name


@dataclass(frozen=True, slots=True, kw_only=True)
class PortWish:
    """A port to be bound outside by whoever starts the place.

    `key` is what cluster.json keeps it under; `outside` 0 means any free one; `exact` that no other will do.
    """

    key: str
    address: str
    outside: int
    exact: bool


def apply_port_options(config: ClusterConfig, components: Mapping[str, Component]) -> dict[str, Component]:
    """Return *components* with the outside ports of `--port`; raise ConfigError for one that cannot be moved."""
    changed = dict(components)
    for key, outside in config.ports.items():
        name, _, wanted = key.partition(".")
        check_known(name, components, "--port")
        ports = changed[name].ports
        target = next((port for port in ports if not wanted or port.name == wanted), None)
        if target is None:
            names = ", ".join(port.name for port in ports)
            raise ConfigError(
                f"--port: {name} has no port `{wanted}`" if wanted else f"--port: {name} has no port",
                hint=f"its ports are {names}" if names else "publish one by its number: --publish INSIDE",
            )
        if config.place_kind is PlaceKind.HOST and outside != target.inside:
            raise ConfigError(
                f"--port {key}: on the host, {name} listens on its port itself",
                hint=f"change the flag that sets it: --set {name}.FLAG={outside}",
            )
        moved = replace(target, publish=outside, exact=True)
        changed[name] = replace(changed[name], ports=tuple(moved if port is target else port for port in ports))
    return changed


def port_wishes(config: ClusterConfig, components: Mapping[str, Component]) -> tuple[PortWish, ...]:
    """Return the outside ports to bind: those of components first, then `--publish`.

    On the host the components bind theirs themselves: their wishes are the ports that have to be free.
    """
    host = config.place_kind is PlaceKind.HOST
    wishes = [
        PortWish(
            key=f"{name}.{port.name}",
            address="127.0.0.1" if host else port.publish_address,
            outside=port.inside if host else port.publish or 0,
            exact=host or port.exact,
        )
        for name, component in components.items()
        for port in component.ports
        if host or port.publish is not None
    ]
    if not host:
        wishes += [
            PortWish(
                key=f"publish.{publication.inside}",
                address=publication.outside_address,
                outside=publication.outside,
                exact=publication.outside != 0,
            )
            for publication in _publications(config)
        ]
    return tuple(wishes)


def planned_ports(config: ClusterConfig, component: Component, bound: Mapping[str, int]) -> tuple[PlannedPort, ...]:
    """Return the component's ports with the outside ones that were bound; before that, with those wished for."""
    return tuple(_planned(config, component.name, port, bound) for port in component.ports)


def _planned(config: ClusterConfig, name: str, port: Port, bound: Mapping[str, int]) -> PlannedPort:
    if config.place_kind is PlaceKind.HOST:
        return PlannedPort(name=port.name, inside=port.inside, outside=port.inside, outside_address="127.0.0.1")
    if port.publish is None:
        return PlannedPort(name=port.name, inside=port.inside)
    # Nobody but the default cluster takes the usual port unasked: others keep a free one of their own.
    wished = port.publish if port.exact or config.name == DEFAULT_CLUSTER else 0
    outside = bound.get(f"{name}.{port.name}", wished)
    return PlannedPort(name=port.name, inside=port.inside, outside=outside, outside_address=port.publish_address)


def publications(config: ClusterConfig, bound: Mapping[str, int]) -> tuple[Publication, ...]:
    """Return what `--publish` makes reachable; on the host there is nothing to publish from."""
    if config.place_kind is PlaceKind.HOST:
        return ()
    return tuple(
        replace(item, outside=bound.get(f"publish.{item.inside}", item.outside)) for item in _publications(config)
    )


def _publications(config: ClusterConfig) -> list[Publication]:
    found: list[Publication] = []
    for text in config.publish:
        wish = parse_publish(text)
        if any(item.inside == wish.inside for item in found):
            raise ConfigError(f"--publish: port {wish.inside} is published twice", hint="publish it once")
        found.append(Publication(inside=wish.inside, outside=wish.outside, outside_address=wish.address))
    return found


def reaches(config: ClusterConfig, components: Mapping[str, Component]) -> tuple[Reach, ...]:
    """Return the ports of the host's loopback to be had inside: `--reach`, external components, the trace collector.

    Raise PlanError where one is a port that a component listens on inside, and for an external address that a sandbox
    cannot get at.
    """
    if config.place_kind is PlaceKind.HOST:
        return ()
    found = {wish.port: Reach(name=wish.name, port=wish.port) for wish in map(parse_reach, config.reach)}
    for entry in config.external:
        name, _, address = entry.partition("=")
        if address:
            host, number = host_and_port(name, address)
            if not _is_loopback(host):
                raise PlanError(
                    f"--external {name}: a sandbox has no way to {host}",
                    hint="run on the host (--host), or forward a port of the host's loopback to it and name that",
                )
            found.setdefault(number, Reach(name="", port=number))
    if config.tracing:
        found.setdefault(TRACE_COLLECTOR, Reach(name="", port=TRACE_COLLECTOR))
    for component in components.values():
        for port in component.ports:
            if port.inside in found:
                raise PlanError(
                    f"port {port.inside} of the host cannot be reached inside: {component.name} listens on it there",
                    hint=f"move one of them, or leave {component.name} out with --without {component.name}",
                )
    return tuple(found.values())


def host_and_port(name: str, address: str) -> tuple[str, int]:
    """Return host and port of `--external NAME=ADDRESS`; raise ConfigError when it has no port."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConfigError(f"--external {name}: `{address}` has no port", hint=f"write --external {name}=127.0.0.1:PORT")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
