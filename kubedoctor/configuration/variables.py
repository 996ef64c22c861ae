"""Variables of local-up-cluster.sh and its guides that are no option here, and why. Pure data.

Those that are options carry their names in `kubedoctor.config`.
"""

from __future__ import annotations

NODE = frozenset(
    """
    CNI_PLUGINS_URL CNI_PLUGINS_VERSION CNI_TARGETARCH DNS_ADDON ENABLE_CSI_SNAPSHOTTER
    ENABLE_NODELOCAL_DNS KUBE_ENABLE_NODELOCAL_DNS KUBE_LOCAL_DNS_IP LOCAL_DNS_IP
    """.split()  # noqa: SIM905 - twenty names read better as words
)
"""Variables of the node and of what runs on it."""

NODE_NOTE = "of the node, which this version does not read yet"

_SUDO = "kubedoctor runs no part under sudo; run all of it as root or as an ordinary user"
_INSECURE = "Kubernetes has no insecure ports since 1.24"
_DOCKER = "Kubernetes has no Docker support of its own since 1.24"

GONE = {
    "ALLOW_ANY_TOKEN": "Kubernetes no longer has `--insecure-allow-any-token`; use `kubectl create token`",
    "API_PORT": f"{_INSECURE}; API_SECURE_PORT is the port",
    "AUTH_ARGS": "it was printed only; `kubedoctor env` sets up kubectl",
    "CFSSL_PATH": "certificates are made without cfssl",
    "CHAOS_CHANCE": "the kubelet no longer has `--chaos-chance`",
    "CLOUD_CTLRMGR_FLAGS": "kubedoctor runs no cloud-controller-manager; start yours against the cluster's kubeconfig",
    "CONTAINER_RUNTIME": "the kubelet no longer has that flag; CONTAINER_RUNTIME_ENDPOINT names the runtime",
    "CONTROLPLANE_SUDO": _SUDO,
    "DOCKER_OPTS": _DOCKER,
    "DOCKER_ROOT": _DOCKER,
    "ENABLE_RBAC": "AUTHORIZATION_MODE says it, and RBAC is on by default",
    "ETCD_DRY_RUN": "`kubedoctor up --dry-run` shows what would run",
    "ETCD_LOGFILE": "etcd logs to etcd.log in the directory of logs, which LOG_DIR moves",
    "ETCD_UNSUPPORTED_ARCH": "give it to etcd itself: `--env etcd.ETCD_UNSUPPORTED_ARCH=arm`",
    "ETCD_VERSION": "the etcd that goes with the Kubernetes version is taken; `--binary etcd=PATH` names another one",
    "EXTERNAL_CLOUD_PROVIDER_BINARY": (
        "kubedoctor runs no cloud-controller-manager; start yours against the cluster's kubeconfig"
    ),
    "INSECURE_CONTROLLER_MANAGER": _INSECURE,
    "INSECURE_SCHEDULER": _INSECURE,
    "KUBECONFIG_TOKEN": "kubeconfigs carry certificates; `kubectl create token` makes tokens",
    "KUBELET_CIDFILE": "the kubelet runs as a process, not as a container",
    "KUBELET_IMAGE": "the kubelet runs as a process, not from an image",
    "KUBELET_SUDO": _SUDO,
    "KUBERNETES_SERVER_CACHE_DIR": "it was where cfssl was kept, and certificates are made without cfssl",
    "KUBETEST_IN_DOCKER": "a sandbox works in a container as it does elsewhere",
    "KUBE_INTEGRATION_ETCD_URL": "ETCD_HOST and ETCD_PORT say it",
    "MAX_TIME_FOR_URL_API_SERVER": "readiness is asked for all the time; `--timeout` limits it",
    "NET_PLUGIN": "the kubelet no longer has `--network-plugin`; networks are the runtime's matter (CNI)",
    "PROXY_SUDO": _SUDO,
    "WAIT_FOR_URL_API_SERVER": "readiness is asked for all the time; `--timeout` limits it",
}
"""Variables that have no meaning any more, each with the reason or what to use instead."""

SILENT = frozenset({"ARTIFACTS", "DRY_RUN", "KUBECTL", "ROOT_CA_FILE", "TMP_DIR", "USER"})
"""Variables the script knows, of names so general that they say nothing here: neither read nor mentioned."""

OWN = frozenset({"KUBEDOCTOR_CONFIG", "KUBEDOCTOR_HOME", "KUBEDOCTOR_INSTANCE", "KUBEDOCTOR_PLUGINS"})
"""Variables of kubedoctor that are no option of a cluster."""

CONFUSED = {
    "APISERVER_PORT": "API_SECURE_PORT",
    "API_SERVER_PORT": "API_SECURE_PORT",
    "KUBE_FEATURE_GATES": "FEATURE_GATES",
    "KUBE_LOG_LEVEL": "LOG_LEVEL",
    "POD_CIDR": "CLUSTER_CIDR",
    "SERVICE_CIDR": "SERVICE_CLUSTER_IP_RANGE",
    "SERVICE_IP_RANGE": "SERVICE_CLUSTER_IP_RANGE",
}
"""Names that are easily taken for ones of the script, though they do not look alike."""
