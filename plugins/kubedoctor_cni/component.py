"""The network of pods: a configuration for the runtime, and the plugins it names."""

from __future__ import annotations

import json
from dataclasses import replace

from kubedoctor import ClusterConfig, Components, File

RUNTIME = "containerd"
BINARIES, CONFIGURATION = "/opt/cni/bin", "/etc/cni/net.d"
FILE = "10-kubedoctor.conflist"
PLUGINS = ("loopback", "ptp", "bridge", "host-local", "portmap", "firewall")


def add_network(config: ClusterConfig, components: Components) -> None:
    """Give the runtime of a sandbox its network; on the host the machine's own is left as it is."""
    if RUNTIME not in components or config.place_kind != "sandbox":
        return
    runtime = components[RUNTIME]
    components[RUNTIME] = replace(
        runtime,
        files=(
            *runtime.files,
            File(name=config.private(f"{CONFIGURATION}/{FILE}"), content=configuration(config), mode=0o644),
        ),
        links={**runtime.links, **{config.private(f"{BINARIES}/{name}"): name for name in PLUGINS}},
        private=(*runtime.private, CONFIGURATION, BINARIES, "/var/lib/cni"),
    )


def configuration(config: ClusterConfig) -> str:
    """Return the network of this place's pods.

    `ptp` routes every packet: with a bridge, replies of a service to a pod on the same bridge would bypass conntrack
    unless br_netfilter is there.
    """
    plugins = [
        {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": config.pod_range}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "kubedoctor", "plugins": plugins}, indent=2) + "\n"
