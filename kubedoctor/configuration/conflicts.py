"""What must hold between settled values: wishes that exclude each other are refused, idle ones are noted."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor.config import ClusterConfig, options
from kubedoctor.configuration.ranges import networks
from kubedoctor.configuration.values import Origins, dashed, said
from kubedoctor.errors import ConfigError

SANDBOX_RANGE = "198.18.0.0/15"
"""The addresses of places, see ClusterConfig.address."""


def check_together(config: ClusterConfig, origins: Origins) -> list[str]:
    """Return notes on values that make others idle; raise ConfigError for the first two that exclude each other."""
    _check_components(config, origins)
    _check_signing(config, origins)
    _check_admission(config, origins)
    _check_json_logs(config, origins)
    _check_ports(config, origins)
    return [*_check_ranges(config, origins), *_idle(config, origins)]


def _check_components(config: ClusterConfig, origins: Origins) -> None:
    for other, word in (("without", "leaves it out"), ("external", "says it runs elsewhere")):
        names = {item.partition("=")[0] for item in getattr(config, other)}
        if both := sorted(names & set(config.only)):
            raise ConfigError(f"{said(origins, 'only')} asks for {both[0]}, {said(origins, other)} {word}")


def _check_signing(config: ClusterConfig, origins: Origins) -> None:
    pair = ("cluster_signing_cert_file", "cluster_signing_key_file")
    given = [name for name in pair if getattr(config, name)]
    if len(given) == 1:
        lacking = next(name for name in pair if name not in given)
        raise ConfigError(
            f"{said(origins, given[0])} needs {dashed(lacking)} too",
            hint=f"set {options()[lacking].metadata['env'][0]}",
        )


def _check_admission(config: ClusterConfig, origins: Origins) -> None:
    if both := sorted(set(config.enable_admission_plugins) & set(config.disable_admission_plugins)):
        enable, disable = said(origins, "enable_admission_plugins"), said(origins, "disable_admission_plugins")
        raise ConfigError(f"{enable} enables {both[0]}, {disable} disables it")


def _check_json_logs(config: ClusterConfig, origins: Origins) -> None:
    why = "Kubernetes' JSON logs have no vmodule"
    asked = {name: f"json_logs.{name}" for name in config.json_logs}
    asked |= {
        name: f"set.{name}.logging-format"
        for name, flags in config.set.items()
        if flags.get("logging-format") == "json"
    }
    for name, key in asked.items():
        if name in config.vmodule:
            raise ConfigError(f"{said(origins, key)} excludes {said(origins, f'vmodule.{name}')}: {why}")
        if "vmodule" in config.set.get(name, {}) and config.set[name]["vmodule"] is not None:
            raise ConfigError(f"{said(origins, key)} excludes {said(origins, f'set.{name}.vmodule')}: {why}")
        if config.log_spec and name.startswith("kube"):  # it is for the programs of Kubernetes
            raise ConfigError(f"{said(origins, key)} excludes {said(origins, 'log_spec')}: {why}")


def _check_ports(config: ClusterConfig, origins: Origins) -> None:
    etcd = {"": "127.0.0.1", "localhost": "127.0.0.1"}.get(config.etcd_host, config.etcd_host)
    wished = [
        (etcd if name == "etcd_port" else config.api_host_ip, getattr(config, name), name)
        for name in ("api_port", "etcd_port", "kcm_port", "scheduler_port")
    ]
    wished += [(config.api_host_ip, number, f"ports.{target}") for target, number in config.ports.items()]
    taken: dict[tuple[str, int], str] = {}
    for address, number, name in wished:
        if number is None:
            continue
        other = taken.setdefault((address, number), name)
        if other != name:
            raise ConfigError(f"{said(origins, other)} and {said(origins, name)} are both port {number}")


def _check_ranges(config: ClusterConfig, origins: Origins) -> Iterator[str]:
    from ipaddress import ip_address, ip_network

    services_at, pods_at = said(origins, "service_cluster_ip_range"), said(origins, "cluster_cidr")
    services = networks(config.service_cluster_ip_range, services_at)
    pods = networks(config.cluster_cidr, pods_at) if config.cluster_cidr else []
    for one, other in ((one, other) for one in services for other in pods):
        if one.version == other.version and one.overlaps(other):
            raise ConfigError(
                f"service addresses {one} ({services_at}) overlap pod addresses {other} ({pods_at})",
                hint="choose other pod addresses: --cluster-cidr",
            )
    own = ip_network(SANDBOX_RANGE)
    for network, place in [(network, services_at) for network in services] + [(network, pods_at) for network in pods]:
        if network.version == 4 and network.overlaps(own) and not config.host:
            raise ConfigError(f"{place}: {network} overlaps {own}, the addresses of sandboxes")
    for name, what in (("first_service_cluster_ip", "service kubernetes"), ("dns_server_ip", "DNS")):
        value = getattr(config, name)
        if value and not any(ip_address(value) in network for network in services):
            raise ConfigError(
                f"{said(origins, name)}: {value}, the address of {what}, is not in {config.service_cluster_ip_range}",
                hint=f"that range is of {services_at}; without {dashed(name)} the address is chosen from it",
            )
    first = config.first_service_cluster_ip
    if first and ip_address(first) not in [network[1] for network in services if network.num_addresses > 1]:
        place = said(origins, "first_service_cluster_ip")
        yield f"{place}: {first} is in the certificate only, kube-apiserver gives service kubernetes {services[0][1]}"


def _idle(config: ClusterConfig, origins: Origins) -> Iterator[str]:
    replaced = ("authorization_mode", "authorization_webhook_config_file")
    if config.authorization_config:
        for name in replaced:
            if not origins.get(name, "default").startswith("default"):
                yield f"{said(origins, name)} has no effect: {said(origins, 'authorization_config')} replaces it"
