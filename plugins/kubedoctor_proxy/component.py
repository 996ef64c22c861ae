"""What kube-proxy is run with."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from kubedoctor import (
    Authority,
    Certificate,
    Cleanup,
    ClusterConfig,
    Component,
    File,
    Kind,
    Kubeconfig,
    Port,
    Probe,
    ProbeKind,
    Stop,
    Trace,
)

NAME = "kube-proxy"
HEALTH_PORT, METRICS_PORT = 10256, 10249
CONFIG = "kube-proxy.json"

TRACES = (
    Cleanup(trace=Trace.CHAINS, name="KUBE-"),
    Cleanup(trace=Trace.COUNTER, name="ct_state_invalid_dropped_pkts"),
    Cleanup(trace=Trace.COUNTER, name="localhost_nps_accepted_pkts"),
    Cleanup(trace=Trace.TABLE, name="kube-proxy"),
    Cleanup(trace=Trace.SETTING, name="net/ipv4/conf/all/route_localnet", value="1"),
    Cleanup(trace=Trace.FILE, name="/run/xtables.lock"),
)


def proxy(config: ClusterConfig) -> Component:
    """Return kube-proxy as *config* wants it; it works when the service `kubernetes` leads to the API."""
    health = config.port_inside(HEALTH_PORT, config.proxy_healthz_port)
    metrics = config.port_inside(METRICS_PORT, config.proxy_metrics_port)
    return Component(
        name=NAME,
        kind=Kind.NODE,
        binary=NAME,
        flags={"config": config.file(CONFIG), **config.logging_flags()},
        files=(File(name=CONFIG, content=json.dumps(_configuration(config, health, metrics), indent=2) + "\n"),),
        certificates=(
            Certificate(
                name="client-kube-proxy", authority=Authority.CLIENT, common_name="system:kube-proxy", client=True
            ),
        ),
        kubeconfigs=(Kubeconfig(name=NAME, certificate="client-kube-proxy"),),
        ports=(
            Port(name="health", inside=health, publish=config.proxy_healthz_port),
            Port(name="metrics", inside=metrics, publish=config.proxy_metrics_port),
        ),
        after=("kube-apiserver",),
        ready=(
            Probe(kind=ProbeKind.HTTP, port="health", path="/healthz"),
            Probe(kind=ProbeKind.TCP, address=config.first_service_address, number=443),
        ),
        stop=Stop(timeout=2.0),
        cleanup=TRACES,
    )


def _configuration(config: ClusterConfig, health: int, metrics: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": config.kubeconfig(NAME)},
        "hostnameOverride": config.node_name,
        "clusterCIDR": config.cluster_cidr,
        "mode": config.kube_proxy_mode or _usual_mode(),
        # Limits of connections are the machine's, not a sandbox's; writing them fails or changes it.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": f"127.0.0.1:{health}",
        "metricsBindAddress": f"127.0.0.1:{metrics}",
        # A service that has just come must not be refused for the second that is the default.
        "iptables": {"minSyncPeriod": "100ms"},
        "nftables": {"minSyncPeriod": "100ms"},
    }
    if config.feature_gates:
        document["featureGates"] = {name: value == "true" for name, value in sorted(config.feature_gates.items())}
    return document


def _usual_mode() -> str:
    """Return the mode of who wishes for none: iptables, unless this machine has the programs of nftables alone."""
    return "nftables" if not _has("iptables") and _has("nft") else "iptables"


def _has(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") is not None
