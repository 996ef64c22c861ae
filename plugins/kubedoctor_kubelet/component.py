"""What the kubelet is run with."""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
from collections.abc import Iterator
from typing import Any

from kubedoctor import (
    Authority,
    Certificate,
    Cleanup,
    ClusterConfig,
    Component,
    File,
    FlagValue,
    Kind,
    Kubeconfig,
    KubedoctorError,
    Port,
    Probe,
    ProbeKind,
    Stop,
    Trace,
    host,
)

NAME = "kubelet"
PORT = 10250
CONFIG = "kubelet.json"  # JSON is YAML
RUNTIME_SOCKET = "unix:///run/containerd/containerd.sock"
RESOLVED = "/run/systemd/resolve/resolv.conf"
ROOT = "/var/lib/kubelet"
WRITTEN = ("/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes")
"""Where it writes besides: logs of containers, and the directory of volume plugins that it makes."""
SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
"""What it sets the machine to: setupKernelTunables of pkg/kubelet/cm, values of component-helpers/node/util/sysctl."""

QUERIES_PER_SECOND, BURST = 1000, 2000
"""At the defaults (50, 100) many pods that start at once wait for their turn, not for the node."""


def kubelet(config: ClusterConfig) -> Component:
    """Return the kubelet as *config* wants it; it works when its node is Ready."""
    port = config.port_inside(PORT, config.kubelet_port)
    on_host = config.place_kind == "host"
    names = (config.node_name, config.address, _node_address(config) or "", "localhost", "127.0.0.1", "::1")
    return Component(
        name=NAME,
        kind=Kind.NODE,
        binary=NAME,
        flags={
            "config": config.file(CONFIG),
            "kubeconfig": config.kubeconfig(NAME),
            "hostname-override": config.node_name,
            "node-ip": _node_address(config),
            # 1.35 and later refuse cgroup v1 without it; older ones do not know it, and the planner leaves it out.
            "fail-cgroupv1": None if host.has_unified_cgroups() else False,
            **config.logging_flags(),
            **_users_flags(config),
        },
        files=(File(name=CONFIG, content=json.dumps(_configuration(config, port), indent=2) + "\n"),),
        certificates=(
            Certificate(
                name="client-kubelet",
                authority=Authority.CLIENT,
                common_name=f"system:node:{config.node_name}",
                organizations=("system:nodes",),
                client=True,
            ),
            Certificate(
                name="serving-kubelet",
                authority=Authority.SERVER,
                common_name=f"system:node:{config.node_name}",
                sans=tuple(dict.fromkeys(filter(None, names))),
                server=True,
            ),
        ),
        kubeconfigs=(Kubeconfig(name=NAME, certificate="client-kubelet"),),
        ports=(
            Port(name="https", inside=port, publish=config.kubelet_port, exact=config.kubelet_port is not None),
            Port(name="health", inside=config.kubelet_healthz_port),
        ),
        private=(ROOT, *WRITTEN),
        directories=() if on_host else (config.private(ROOT),),
        data=() if on_host else (config.private(ROOT),),
        cleanup=tuple(_traces(config)),
        after=("kube-apiserver", "containerd"),
        early=is_known_to_authorizer(config),  # else it needs a role, which is there when the API is ready
        ready=(
            Probe(kind=ProbeKind.HTTP, port="health", path="/healthz"),
            Probe(
                kind=ProbeKind.API, path=f"/api/v1/nodes/{config.node_name}", contains='"type":"Ready","status":"True"'
            ),
        ),
        stop=Stop(timeout=2.0),
    )


def enforces_limits(config: ClusterConfig) -> bool:
    """Return whether pods have cgroups, and what they are limited to holds: an ordinary user's cannot be written."""
    return config.cgroups_per_qos and not config.in_user_namespace


def is_known_to_authorizer(config: ClusterConfig) -> bool:
    """Return whether the Node authorizer speaks for nodes; with a configuration of the user's own nobody knows."""
    return not config.authorization_config and "Node" in authorization_modes(config)


def authorization_modes(config: ClusterConfig) -> set[str]:
    """Return the names of what the API server asks whether somebody may do something."""
    return {mode.strip() for mode in config.authorization_mode.split(",")}


def _node_address(config: ClusterConfig) -> str | None:
    """Return the address that the node gives as its own, None where the kubelet finds it by the node's name."""
    if config.place_kind == "sandbox":
        return config.address
    wished = config.kubelet_host
    return None if not wished or wished in ("0.0.0.0", "::") or _is_loopback(wished) else wished  # noqa: S104


def _bound_address(config: ClusterConfig) -> str:
    """Return where the kubelet listens: where the node says it is, which is no loopback address in a sandbox."""
    if config.place_kind == "sandbox" and (not config.kubelet_host or _is_loopback(config.kubelet_host)):
        return "0.0.0.0"  # noqa: S104 - in a sandbox
    return config.kubelet_host or "127.0.0.1"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _traces(config: ClusterConfig) -> Iterator[Cleanup]:
    """Yield what a kubelet leaves on a host, its pods with it."""
    if config.runtime is not None:
        yield Cleanup(trace=Trace.PODS, name=config.runtime.socket)
    root = _root(config)
    yield Cleanup(trace=Trace.MOUNTS, name=root)
    yield Cleanup(trace=Trace.CHAINS, name="KUBE-")
    yield from (Cleanup(trace=Trace.DIRECTORY, name=directory) for directory in (root, *WRITTEN))
    yield from (Cleanup(trace=Trace.SETTING, name=name, value=value) for name, value in SETTINGS.items())
    if not config.pods_cgroup:
        below = config.cgroup_root.strip("/")
        yield from (Cleanup(trace=Trace.CGROUP, name=f"{below}/{name}") for name in ("kubepods", "kubepods.slice"))


def _root(config: ClusterConfig) -> str:
    """Return the kubelet's directory, which the user may have moved."""
    wished = config.set.get(NAME, {}).get("root-dir") or _users_flags(config).get("root-dir")
    return wished if isinstance(wished, str) else ROOT


def _users_flags(config: ClusterConfig) -> dict[str, FlagValue]:
    """Return KUBELET_FLAGS, split as a shell does."""
    try:
        words = shlex.split(config.kubelet_flags)
    except ValueError as problem:
        raise KubedoctorError(
            f"KUBELET_FLAGS cannot be read: {problem}", hint="quote it as for a shell: --flag='a value'"
        ) from None
    flags: dict[str, FlagValue] = {}
    position = 0
    while position < len(words):
        name, equals, value = words[position].lstrip("-").partition("=")
        if not words[position].startswith("-") or not name:
            raise KubedoctorError(f"KUBELET_FLAGS: `{words[position]}` is not a flag", hint="--flag=value --flag")
        position += 1
        if not equals and position < len(words) and not words[position].startswith("-"):
            value, equals = words[position], "="
            position += 1
        flags[name] = value if equals else True
    return flags


def _configuration(config: ClusterConfig, port: int) -> dict[str, Any]:
    """Return the KubeletConfiguration: fields every supported version knows, and those the user asked for."""
    has_cgroups = enforces_limits(config)
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": _bound_address(config),
        "port": port,
        "readOnlyPort": config.kubelet_read_only_port,
        "healthzPort": config.kubelet_healthz_port,
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": config.container_runtime_endpoint or RUNTIME_SOCKET,
        "authentication": {
            "x509": {"clientCAFile": config.client_ca_file or config.pki("client-ca.crt")},
            "webhook": {"enabled": config.kubelet_authentication_webhook},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook" if config.kubelet_authorization_webhook else "AlwaysAllow"},
        "tlsCertFile": config.pki("serving-kubelet.crt"),
        "tlsPrivateKeyFile": config.pki("serving-kubelet.key"),
        "cgroupDriver": config.settled_cgroup_driver,
        "cgroupRoot": config.cgroup_root or f"/{config.pods_cgroup}",
        "cgroupsPerQOS": has_cgroups,
        "enforceNodeAllocatable": ["pods"] if has_cgroups else [],
        "failSwapOn": config.fail_swap_on,
        # What was loaded from an archive cannot be pulled again: unused images go at the eviction threshold only.
        "imageGCHighThresholdPercent": 100 if config.place_kind == "sandbox" else 85,
        "evictionHard": _thresholds(config.eviction_hard),
        "evictionPressureTransitionPeriod": config.eviction_pressure_transition_period,
        "runtimeRequestTimeout": config.runtime_request_timeout,
        "cpuCFSQuota": config.cpu_cfs_quota,
        "enableControllerAttachDetach": config.enable_controller_attach_detach,
        "localStorageCapacityIsolation": config.local_storage_capacity_isolation,
        "kubeAPIQPS": QUERIES_PER_SECOND,
        "kubeAPIBurst": BURST,
        "registerWithTaints": [],
    }
    if config.cluster_dns:
        document |= {"clusterDNS": [config.dns_address], "clusterDomain": config.dns_domain}
    document |= _wishes(config)
    return document


def _wishes(config: ClusterConfig) -> dict[str, Any]:
    """Return the fields that only a wish brings in."""
    wished: dict[str, Any] = {
        "imageServiceEndpoint": config.image_service_endpoint,
        "resolvConf": config.kubelet_resolv_conf or _resolv_conf(config),
        "staticPodPath": config.pod_manifest_path,
        "memorySwap": {"swapBehavior": "LimitedSwap"} if config.limited_swap else None,
        "evictionSoft": _thresholds(config.eviction_soft),
        "evictionSoftGracePeriod": dict.fromkeys(_thresholds(config.eviction_soft), "1m30s"),
        "cpuManagerPolicy": config.cpu_manager_policy,
        "cpuManagerPolicyOptions": _pairs(config.cpu_manager_policy_options),
        "providerID": config.kubelet_provider_id,
        "cpuManagerReconcilePeriod": config.cpu_manager_reconcile_period,
        "memoryManagerPolicy": config.memory_manager_policy,
        "topologyManagerPolicy": config.topology_manager_policy,
        "featureGates": _gates(config),
    }
    return {name: value for name, value in wished.items() if value}


def _resolv_conf(config: ClusterConfig) -> str:
    """Return the list of systemd-resolved where it has one: its stub in /etc is not to be reached from a pod."""
    return RESOLVED if (config.place_kind == "host" or config.uplink) and os.path.exists(RESOLVED) else ""  # noqa: PTH110


def _gates(config: ClusterConfig) -> dict[str, bool]:
    gates = {name: value == "true" for name, value in sorted(config.feature_gates.items())}
    return {"KubeletInUserNamespace": True, **gates} if config.in_user_namespace else gates


def _pairs(text: str) -> dict[str, str]:
    """Return `A=true,B=false` as the configuration has it."""
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = part.partition("=")
        if not (name and sign and value):
            raise KubedoctorError(f"`{part}` is not an option of the CPU manager", hint="for instance A=true,B=false")
        pairs[name] = value
    return pairs


def _thresholds(text: str) -> dict[str, str]:
    """Return eviction thresholds as the configuration has them: `memory.available<100Mi,…`."""
    thresholds = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        signal, sign, value = part.partition("<")
        if not (signal and sign and value):
            raise KubedoctorError(f"`{part}` is not an eviction threshold", hint="for instance memory.available<100Mi")
        thresholds[signal] = value
    return thresholds
