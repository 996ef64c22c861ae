"""Ranges of addresses, and the addresses that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubedoctor.config import ClusterConfig
from kubedoctor.configuration.values import Origins, said, shown
from kubedoctor.errors import ConfigError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


def settle_addresses(config: ClusterConfig, origins: Origins) -> dict[str, str]:
    """Return the service addresses that follow from the range: the first, and the tenth for DNS."""
    first_range = networks(config.service_cluster_ip_range, said(origins, "service_cluster_ip_range"))[0]
    changes = {}
    if not config.first_service_cluster_ip and first_range.num_addresses > 1:
        changes["first_service_cluster_ip"] = str(first_range[1])
    if not config.dns_server_ip:
        if first_range.num_addresses <= 11:
            raise ConfigError(
                f"{said(origins, 'service_cluster_ip_range')}: {first_range} has no tenth address for DNS",
                hint="choose a range of /28 or larger, or give dns-server-ip",
            )
        changes["dns_server_ip"] = str(first_range[10])
    return changes


def networks(text: str, place: str) -> list[IPv4Network | IPv6Network]:
    """Return one range, or two of different families; raise ConfigError otherwise."""
    from ipaddress import ip_network

    try:
        found = [ip_network(part.strip(), strict=False) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{place}: expected a range such as 10.0.0.0/24, found {shown(text)}") from None
    if len(found) > 2 or len({network.version for network in found}) != len(found):
        raise ConfigError(f"{place}: expected one range, or one of IPv4 and one of IPv6, found {shown(text)}")
    return found
