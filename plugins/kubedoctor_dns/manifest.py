"""CoreDNS as pods of the cluster: the objects of upstream's deployment, and the image they run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kubedoctor import ClusterConfig, Components, Image, Manifest, Probe, ProbeKind

NAME = "coredns"
IMAGE = Image(
    name="registry.k8s.io/coredns/coredns:v1.15.0",
    binary=NAME,
    path="/coredns",
    arguments=("-conf", "/etc/coredns/Corefile"),
)
LOADER = "images"
LABELS = {"k8s-app": "kube-dns"}
_META = {"namespace": "kube-system", "labels": LABELS}


def add_image(config: ClusterConfig, components: Components) -> None:
    """Have the image loaded together with the others."""
    has_it = config.runtime is not None and IMAGE.name in config.runtime.images
    if config.cluster_dns and LOADER in components and not has_it:
        loader = components[LOADER]
        components[LOADER] = replace(loader, images=(*loader.images, IMAGE))


def coredns(config: ClusterConfig) -> Manifest:
    """Return CoreDNS; it works when its service answers with the address of the service `kubernetes`."""
    return Manifest(
        name=NAME,
        objects=(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, **_META}},
            *_roles(),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": NAME, **_META},
                "data": {"Corefile": _corefile(config)},
            },
            _service(config),
            _deployment(config),
        ),
        needs=("kubelet", "kube-proxy"),
        ready=(
            Probe(
                kind=ProbeKind.DNS,
                address=config.dns_address,
                number=53,
                path=f"kubernetes.default.svc.{config.dns_domain}",
                contains=config.first_service_address,
            ),
        ),
    )


def _roles() -> tuple[dict[str, Any], ...]:
    group = "rbac.authorization.k8s.io"
    name = "system:coredns"
    watch = ["list", "watch"]
    return (
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": watch},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
        },
    )


def _corefile(config: ClusterConfig) -> str:
    """Return the configuration: upstream's, but for names outside of the cluster.

    Without an uplink a sandbox has no way out, so the name servers of the machine would cost every client its whole
    patience; such names are told to be unknown at once. Two servers, for CoreDNS asks `template` before `kubernetes`,
    whatever their order.
    """
    outside = (
        "template ANY ANY {\n        rcode NXDOMAIN\n    }"
        if config.place_kind == "sandbox" and not config.uplink
        else "forward . /etc/resolv.conf {\n        max_concurrent 1000\n    }\n    cache 30"
    )
    return f"""\
{config.dns_domain}:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    health
    ready
    kubernetes {config.dns_domain} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 30
    }}
    prometheus :9153
    cache 30
    reload
    loadbalance
}}
.:53 {{
    errors
    prometheus :9153
    {outside}
    loop
    reload
}}
"""


def _service(config: ClusterConfig) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {**LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "selector": LABELS,
            "clusterIP": config.dns_address,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
            ],
        },
    }


def _deployment(config: ClusterConfig) -> dict[str, Any]:
    container = {
        "name": NAME,
        "image": IMAGE.name,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"memory": config.dns_memory_limit}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
            {"containerPort": 9153, "name": "metrics", "protocol": "TCP"},
        ],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        # Upstream asks every 10 s, and a cluster would be ready that much later.
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, **_META},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": NAME,
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "containers": [container],
                    "dnsPolicy": "Default",
                    "volumes": [
                        {
                            "name": "config-volume",
                            "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]},
                        }
                    ],
                },
            },
        },
    }
