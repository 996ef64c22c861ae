"""The wire to the host: what `--uplink` and `--attach` make of it."""

from __future__ import annotations

from ipaddress import ip_network

from kubedoctor.cluster.documents import Wire
from kubedoctor.config import ClusterConfig, PlaceKind


def planned_wire(config: ClusterConfig) -> Wire | None:
    """Return the wire of a sandbox, None when nobody wants one; on the host there is nothing to connect."""
    if config.place_kind is not PlaceKind.SANDBOX or not (config.uplink or config.attach):
        return None
    return Wire(uplink=config.uplink, routes=attached_ranges(config) if config.attach else ())


def attached_ranges(config: ClusterConfig) -> tuple[str, ...]:
    """Return the ranges of this place's pods and of the cluster's services, IPv4 only, as the wire is."""
    ranges = [config.pod_range, *(text.strip() for text in config.service_cluster_ip_range.split(","))]
    networks = (ip_network(text, strict=False) for text in ranges)
    return tuple(dict.fromkeys(str(network) for network in networks if network.version == 4))
