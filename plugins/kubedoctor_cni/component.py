"""The network of pods: a configuration for the runtime, and the plugins it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kubedoctor import Cleanup, ClusterConfig, Component, Components, File, HostRuntime, Trace

RUNTIME, KUBELET = "containerd", "kubelet"
BINARIES, CONFIGURATION = "/opt/cni/bin", "/etc/cni/net.d"
STORE = "/var/lib/cni"
SHARED = ("/run/netns", f"{STORE}/networks", f"{STORE}/results", STORE)
"""Where runtimes and plugins keep what they know of every network and pod."""
FILE = "10-kubedoctor.conflist"
NETWORK = "kubedoctor"
PLUGINS = ("loopback", "ptp", "bridge", "host-local", "portmap", "firewall")


def add_network(config: ClusterConfig, components: Components) -> None:
    """Give pods a network: the runtime of a sandbox gets ours, on the host one of the user's comes first."""
    if config.runtime is not None and KUBELET in components:
        components[KUBELET] = _with_network(config, config.runtime, components[KUBELET])
    elif RUNTIME in components and config.place_kind == "sandbox":
        _add_to_sandbox(config, components)


def _add_to_sandbox(config: ClusterConfig, components: Components) -> None:
    runtime = components[RUNTIME]
    binaries, settings = config.cni_bin_dir or BINARIES, config.cni_config_dir or CONFIGURATION
    components[RUNTIME] = replace(
        runtime,
        files=(
            *runtime.files,
            File(name=config.private(f"{settings}/{FILE}"), content=configuration(config), mode=0o644),
        ),
        links={**runtime.links, **{config.private(f"{binaries}/{name}"): name for name in PLUGINS}},
        private=(*runtime.private, settings, binaries, STORE),
    )


def _with_network(config: ClusterConfig, runtime: HostRuntime, kubelet: Component) -> Component:
    """Return the kubelet with a network where the machine has none, and plugins that are missing.

    `down` takes both away; a network of the user's is left alone.
    """
    settings = config.cni_config_dir or runtime.cni_config_dir or CONFIGURATION
    binaries = config.cni_bin_dir or runtime.cni_bin_dir or BINARIES
    added = {f"{binaries}/{name}": name for name in PLUGINS if _is_free(f"{binaries}/{name}")}
    file = File(name=f"{settings}/{FILE}", content=configuration(config), mode=0o644)
    ours = not _networks(settings)
    if not ours:  # the user's network names plugins of the user's
        added = {}
    cleanup = [
        Cleanup(trace=Trace.CHAINS, name="CNI-"),
        Cleanup(trace=Trace.BRIDGE, name="cni"),
        Cleanup(trace=Trace.DIRECTORY, name=f"{STORE}/networks/{NETWORK}"),
        Cleanup(trace=Trace.RESERVATIONS, name=f"{STORE}/networks"),
        Cleanup(trace=Trace.SETTING, name="net/ipv4/ip_forward", value="1"),
        *(Cleanup(trace=Trace.FILE, name=path) for path in (*added, *([file.name] if ours else []))),
        *(Cleanup(trace=Trace.EMPTY, name=path) for path in (*SHARED, settings, binaries)),
    ]
    return replace(
        kubelet,
        files=(*kubelet.files, *([file] if ours else [])),
        links={**kubelet.links, **added},
        cleanup=(*kubelet.cleanup, *cleanup),
    )


def _networks(directory: str) -> list[str]:
    """Return the configurations in a directory that are not ours."""
    return [name for name in _names(directory) if name.endswith((".conf", ".conflist", ".json")) and name != FILE]


def _names(directory: str) -> Iterator[str]:
    path = Path(directory)
    return (entry.name for entry in path.iterdir()) if path.is_dir() else iter(())


def _is_free(path: str) -> bool:
    """Return whether a plugin may be linked there: nothing is, or a link of an earlier start."""
    return Path(path).is_symlink() or not Path(path).exists()


def configuration(config: ClusterConfig) -> str:
    """Return the network of this place's pods.

    `ptp` routes every packet: with a bridge, replies of a service to a pod on the same bridge would bypass conntrack
    unless br_netfilter is there. On the host, pods reach the world by its address.
    """
    plugins = [
        {
            "type": "ptp",
            "ipMasq": config.place_kind == "host",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": config.pod_range}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": NETWORK, "plugins": plugins}, indent=2) + "\n"
