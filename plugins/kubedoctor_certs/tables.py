"""Which settings of which component name certificates, keys, authorities and kubeconfigs."""

from __future__ import annotations

from dataclasses import dataclass

from kubedoctor_certs.sources import Use


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: str
    key: str
    what: str
    use: Use


_SERVING = Pair("tls-cert-file", "tls-private-key-file", "serving certificate", Use.SERVER)

PAIRS: dict[str, tuple[Pair, ...]] = {
    "etcd": (
        Pair("cert-file", "key-file", "serving certificate", Use.SERVER),
        Pair("peer-cert-file", "peer-key-file", "peer certificate", Use.SERVER),
        Pair("client-cert-file", "client-key-file", "client certificate to itself", Use.CLIENT),
    ),
    "kube-apiserver": (
        _SERVING,
        Pair("etcd-certfile", "etcd-keyfile", "client certificate to etcd", Use.CLIENT),
        Pair("kubelet-client-certificate", "kubelet-client-key", "client certificate to kubelets", Use.CLIENT),
        Pair("proxy-client-cert-file", "proxy-client-key-file", "front proxy client certificate", Use.CLIENT),
    ),
    "kube-controller-manager": (
        _SERVING,
        Pair("cluster-signing-cert-file", "cluster-signing-key-file", "signing certificate", Use.SIGNER),
        *(
            Pair(f"cluster-signing-{name}-cert-file", f"cluster-signing-{name}-key-file", f"{name} signer", Use.SIGNER)
            for name in ("kubelet-serving", "kubelet-client", "kube-apiserver-client", "legacy-unknown")
        ),
    ),
    "kube-scheduler": (_SERVING,),
    "kubelet": (_SERVING,),
}

AUTHORITIES: dict[str, tuple[str, ...]] = {
    "etcd": ("trusted-ca-file", "peer-trusted-ca-file"),
    "kube-apiserver": (
        "client-ca-file",
        "etcd-cafile",
        "requestheader-client-ca-file",
        "kubelet-certificate-authority",
    ),
    "kube-controller-manager": ("root-ca-file", "client-ca-file", "requestheader-client-ca-file"),
    "kube-scheduler": ("client-ca-file", "requestheader-client-ca-file"),
    "kubelet": ("client-ca-file",),
}

KUBECONFIGS: dict[str, tuple[str, ...]] = {
    "kube-controller-manager": ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"),
    "kube-scheduler": ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"),
    "kubelet": ("kubeconfig", "bootstrap-kubeconfig"),
    "kube-proxy": ("kubeconfig",),
    "kwok": ("kubeconfig",),
}

WEBHOOKS: dict[str, tuple[str, ...]] = {
    "kube-apiserver": (
        "authentication-token-webhook-config-file",
        "authorization-webhook-config-file",
        "audit-webhook-config-file",
    ),
}
"""Kubeconfigs that lead to a webhook instead of the API."""

COMPONENTS = frozenset({*PAIRS, *KUBECONFIGS, "k3s"})
"""Whom it helps to restart."""

KUBELET_PKI = "/var/lib/kubelet/pki"
"""Where a kubelet keeps its certificates unless --cert-dir says otherwise."""

KUBEADM = "/etc/kubernetes"
KUBEADM_PAIRS: dict[str, tuple[str, Use]] = {
    "apiserver": ("kube-apiserver's serving certificate", Use.SERVER),
    "apiserver-etcd-client": ("kube-apiserver's client certificate to etcd", Use.CLIENT),
    "apiserver-kubelet-client": ("kube-apiserver's client certificate to kubelets", Use.CLIENT),
    "front-proxy-client": ("kube-apiserver's front proxy client certificate", Use.CLIENT),
    "etcd/server": ("etcd's serving certificate", Use.SERVER),
    "etcd/peer": ("etcd's peer certificate", Use.SERVER),
    "etcd/healthcheck-client": ("the health check's client certificate to etcd", Use.CLIENT),
    "ca": ("the cluster's signing certificate", Use.SIGNER),
    "etcd/ca": ("etcd's signing certificate", Use.SIGNER),
    "front-proxy-ca": ("the front proxy's signing certificate", Use.SIGNER),
}
KUBEADM_KUBECONFIGS = {
    "admin.conf": "kubectl",
    "super-admin.conf": "kubectl",
    "controller-manager.conf": "kube-controller-manager",
    "scheduler.conf": "kube-scheduler",
    "kubelet.conf": "kubelet",
}

K3S = "/var/lib/rancher/k3s"
K3S_PAIRS: dict[str, Use] = {
    **dict.fromkeys(("server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"), Use.SIGNER),
    **dict.fromkeys(("serving-kube-apiserver", "etcd/server-client", "etcd/peer-server-client"), Use.SERVER),
    **dict.fromkeys(
        (
            "client-admin",
            "client-auth-proxy",
            "client-controller",
            "client-kube-apiserver",
            "client-scheduler",
            "etcd/client",
        ),
        Use.CLIENT,
    ),
}
"""Of `server/tls`, where k3s keeps what its components share in one process."""
