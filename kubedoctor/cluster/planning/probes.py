"""Probes with addresses and files settled."""

from __future__ import annotations

import ipaddress

from kubedoctor.cluster.documents import PlannedProbe
from kubedoctor.cluster.planning.ports import host_and_port
from kubedoctor.components import Component, Probe, ProbeKind
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import PlanError

API_COMPONENT = "kube-apiserver"
API_PORT = 6443
API_PORT_NAME = "https"
ADMINISTRATOR = "client-admin"
"""The certificate of the cluster's administrator."""


def api_probe(config: ClusterConfig, apiserver: Component | None) -> PlannedProbe:
    """Return how the API is reached from inside as its administrator, wherever it runs."""
    address, port = "127.0.0.1", config.port_inside(API_PORT, config.api_port)
    if apiserver is not None:
        address, port = bound_address(apiserver), port_number(apiserver, API_PORT_NAME)
    elif external := config.external_address(API_COMPONENT):
        address, port = host_and_port(API_COMPONENT, external)
    return PlannedProbe(
        kind=ProbeKind.HTTPS.value,
        address=address,
        port=port,
        path="/readyz",
        ca_file=config.pki("server-ca.crt"),
        cert_file=config.pki(f"{ADMINISTRATOR}.crt"),
        key_file=config.pki(f"{ADMINISTRATOR}.key"),
    )


def planned_probe(config: ClusterConfig, component: Component, probe: Probe, api: PlannedProbe) -> PlannedProbe:
    """Return *probe* of *component* as the supervisor asks it."""
    if probe.kind in (ProbeKind.PROCESS, ProbeKind.API, ProbeKind.UNIX, ProbeKind.DNS):
        return planned_question(config, component.name, probe, api)
    secure = probe.kind is ProbeKind.HTTPS
    return PlannedProbe(
        kind=probe.kind.value,
        address=probe.address or bound_address(component),
        port=probe.number or port_number(component, probe.port),
        path="" if probe.kind is ProbeKind.TCP else probe.path,
        contains=probe.contains,
        ca_file=config.pki(f"{probe.ca}.crt") if secure and probe.ca else "",
        cert_file=config.pki(f"{probe.certificate}.crt") if secure and probe.certificate else "",
        key_file=config.pki(f"{probe.certificate}.key") if secure and probe.certificate else "",
    )


def planned_question(config: ClusterConfig, owner: str, probe: Probe, api: PlannedProbe) -> PlannedProbe:
    """Return *probe* where it names all it asks itself; raise PlanError for one that speaks of a component's port."""
    if probe.kind is ProbeKind.PROCESS:
        return PlannedProbe(kind=probe.kind.value)
    if probe.kind is ProbeKind.API:
        return PlannedProbe(
            kind=api.kind,
            address=api.address,
            port=api.port,
            path=probe.path,
            contains=probe.contains,
            ca_file=api.ca_file,
            cert_file=api.cert_file,
            key_file=api.key_file,
        )
    if probe.kind is ProbeKind.UNIX:
        return PlannedProbe(kind=probe.kind.value, path=probe.path)
    if not (probe.address and probe.number):
        raise PlanError(
            f"a probe of {owner} names no address and port",
            hint="a defect of the plugin that brings it; leave it out with --no-plugin NAME",
        )
    return PlannedProbe(
        kind=probe.kind.value,
        address=probe.address,
        port=probe.number,
        path=probe.path,
        contains=probe.contains,
        ca_file=config.pki(f"{probe.ca}.crt") if probe.ca else "",
    )


def bound_address(component: Component) -> str:
    """Return the address the component is asked at: loopback, unless it is told to listen at another one only."""
    try:
        address = ipaddress.ip_address(str(component.flags.get("bind-address") or "127.0.0.1"))
    except ValueError:
        return "127.0.0.1"
    return "127.0.0.1" if address.is_unspecified else str(address)


def port_number(component: Component, name: str) -> int:
    """Return the port of that name; raise PlanError when a plugin's probe names one its component does not have."""
    for port in component.ports:
        if port.name == name:
            return port.inside
    raise PlanError(
        f"the probe of {component.name} asks port `{name}`, which it does not have",
        hint="a defect of the plugin that brings it; leave it out with --no-plugin NAME",
    )
