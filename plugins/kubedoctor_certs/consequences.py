"""Which checks of components fail because of a certificate that is no good: who shows it, and who refuses it."""

from __future__ import annotations

from kubedoctor_certs.sources import Edge, Shown, Use

WORK: dict[str, tuple[str, ...]] = {
    "etcd": ("etcd.unhealthy",),
    "kube-apiserver": ("apiserver.not-ready",),
    "kube-controller-manager": ("controllers.not-working", "controllers.lease-held-elsewhere"),
    "kube-scheduler": ("scheduler.not-working",),
    "kubelet": ("kubelet.not-running",),
    "kube-proxy": ("proxy.not-running", "proxy.kubernetes-service-missing"),
}
"""The checks that tell of a component that it does not work, by component."""

API = tuple(check for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler") for check in WORK[name])
_CLIENTS = {"etcd": (*WORK["etcd"], *WORK["kube-apiserver"]), "kube-apiserver": API}
"""Who does not work when nobody takes the serving certificate of a server."""

_NEEDED = ("client certificate", "client certificate to etcd")
"""What a client cannot work without; it can without those to kubelets and to webhooks."""


def of_shown(shown: Shown) -> tuple[str, ...]:
    """Return the checks that fail when nobody takes the certificate."""
    if shown.use is Use.SERVER:
        return _CLIENTS.get(shown.who, ())
    return WORK.get(shown.who, ()) if shown.what in _NEEDED else ()


def of_edge(edge: Edge) -> tuple[str, ...]:
    """Return the checks that fail when one does not trust the other: of a client's certificate those of the client."""
    return WORK.get(edge.trusted.who, ()) if edge.shown.use is Use.SERVER else of_shown(edge.shown)
