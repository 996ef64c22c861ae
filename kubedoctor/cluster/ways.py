"""Whether this machine lets `--uplink` and `--attach` work: asked before anything starts, and changed by nobody."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

from kubedoctor.cluster.planning.wire import attached_ranges
from kubedoctor.cluster.wire import OUTSIDE, default_interface, routes
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import ConfigError
from kubedoctor.facts import FactError

RESOLV_CONF = Path("/etc/resolv.conf")


def require(config: ClusterConfig) -> None:
    """Raise ConfigError with the reason where one of them is wished for and cannot work."""
    for wished, option in ((config.uplink, "--uplink"), (config.attach, "--attach")):
        if wished:
            _require_right(config, option)
    if config.uplink:
        _require_forwarding()
        _require_name_servers(config)
    if config.attach:
        _require_free_ranges(config)


def _require_right(config: ClusterConfig, option: str) -> None:
    if config.place_kind is PlaceKind.HOST:
        raise ConfigError(
            f"{option} is for a sandbox: on the host, pods have the host's network", hint=f"leave {option} out"
        )
    from kubedoctor.host import may

    if os.geteuid() != 0 or not may("CAP_NET_ADMIN"):
        raise ConfigError(
            f"{option} needs root: it makes a link in the host's network",
            hint="run as root; images are pulled, --publish and --reach work without it",
        )


def _require_forwarding() -> None:
    interface = default_interface()
    if not interface:
        raise ConfigError("--uplink: this machine has no default route, so it has no way out either", hint="ip route")
    setting = f"net.ipv4.conf.{interface}.forwarding"
    if Path("/proc/sys/net/ipv4/conf", interface, "forwarding").read_text().strip() != "1":
        raise ConfigError(
            f"--uplink: this machine forwards no packets that come in by {interface} ({setting}=0)",
            hint=f"sysctl -w {setting}=1; it stays until it is set back, so kubedoctor does not do it by itself",
        )
    if chain := dropping_chain():
        raise ConfigError(
            f"--uplink: {chain} drops what is to be forwarded",
            hint="iptables -P FORWARD ACCEPT, or the like where it is nftables; it is Docker that sets it to DROP",
        )


def dropping_chain() -> str:
    """Return the chain that drops forwarded packets which no rule of its accepts, "" when there is none."""
    from kubedoctor.host.nftables import chains, tables
    from kubedoctor.host.xtables import read_table, table_names

    try:
        if tables():
            for chain in chains():
                if chain.hook == "forward" and chain.policy == "drop" and chain.family != "ip6":
                    return f"nftables' chain {chain.family} {chain.table} {chain.name} (policy drop)"
        if "filter" in table_names(4) and read_table(4, "filter").hooks.get("FORWARD", "").lower() == "drop":
            return "iptables' chain FORWARD (policy DROP)"
    except FactError as problem:
        raise ConfigError(
            f"--uplink: the packet filter cannot be read: {problem}", hint="see `nft list ruleset`"
        ) from None
    return ""


def _require_name_servers(config: ClusterConfig) -> None:
    """Refuse a machine whose name servers are all on its loopback: CoreDNS would ask itself, and end."""
    from kubedoctor.host.resolver import parse_resolv_conf

    file = config.kubelet_resolv_conf or name_servers_file()
    try:
        found = parse_resolv_conf(Path(file).read_text(errors="replace"))
    except OSError as problem:
        raise ConfigError(
            f"--uplink: {file}: {problem.strerror}", hint="it names the servers for names outside"
        ) from None
    if config.cluster_dns and len(found.loopback) == len(found.servers):
        raise ConfigError(
            f"--uplink: {file} names no server for names outside that a pod can reach",
            hint="name a file with such servers: export KUBELET_RESOLV_CONF=FILE",
        )


def name_servers_file() -> str:
    """Return the file with the machine's name servers: that of systemd-resolved where it has one."""
    resolved = Path("/run/systemd/resolve/resolv.conf")
    return str(resolved if resolved.exists() else RESOLV_CONF)


def _require_free_ranges(config: ClusterConfig) -> None:
    for text in attached_ranges(config):
        wanted = ip_network(text)
        for interface, destination, mask in routes():
            network = ip_network((destination.to_bytes(4, "little"), mask.bit_count()))
            if mask and network.overlaps(wanted):
                whose = "another cluster's wire" if interface.startswith(OUTSIDE) else "in use here"
                raise ConfigError(
                    f"--attach: {text} cannot be had: this machine has a route to {network} by {interface}, {whose}",
                    hint="give it other ranges: --cluster-cidr 10.2.0.0/16 --service-cluster-ip-range 10.3.0.0/24",
                )
