"""Whose way of laying things out a component's command line shows: kubeadm's, local-up-cluster.sh's, k3s's …"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubedoctor.records import dataclass
from kubedoctor.targets import Instance, TargetKind

KUBERNETES_DIRECTORY = "/etc/kubernetes"
LOCAL_UP_DIRECTORY = "/var/run/kubernetes"
K3S_DIRECTORY = "/var/lib/rancher/k3s"
K0S_DIRECTORY = "/var/lib/k0s"

_KUBEDOCTOR = re.compile(
    r"(?:^|=)(/[^=,]*?/clusters/[a-z0-9-]+)/(?:places/|kubeconfig/|pki/(?:serving-|client-|server-ca|etcd-ca|service-))"
)
_KWOKCTL = re.compile(r"(?:^|=)(/[^=,]*?/clusters/[^/=,]+)/(?:bin/[a-z-]+$|kubeconfig\.yaml$|kwok\.yaml$|pki/|etcd$)")
_K3S = re.compile(r"(?:^|=)(?:unix://)?(/[^=,]*?/rancher/k3s|/run/k3s)(?:/|$)")
_K0S = re.compile(r"(?:^|=)(?:unix://)?(/[^=,]*?/k0s)(?:/|$)")
_LOCAL_UP = re.compile(r"/local-up-cluster\.sh\.\w+/|(?:^|=)/(?:var/)?run/kubernetes(?:/|$)")
_KUBEADM = re.compile(
    r"(?:^|=)(?:/etc/kubernetes/(?:pki/|ssl/|manifests|[\w-]+\.conf$)|/var/lib/minikube/"
    r"|/var/lib/kubelet/(?:config\.yaml$|kubeadm-flags)|/var/lib/kube-proxy/config\.conf$)"
)
_LONGEST = 4096
"""Characters of a word that are searched: PATH_MAX."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Who laid out a cluster; `directory` tells clusters of one kind apart where there can be several."""

    kind: TargetKind
    directory: str = ""

    @property
    def name(self) -> str:
        """The name of the cluster, which is that of its directory; "" where there can be one only."""
        return self.directory.rpartition("/")[2]


def layout_of(instance: Instance) -> Layout | None:
    """Return the layout that the command line shows, None when it shows none of those we know."""
    words = [word[:_LONGEST] for word in (*instance.argv, instance.executable)]
    directory = instance.environment.get("KUBEDOCTOR_INSTANCE") and _directory(_KUBEDOCTOR, [f"{instance.directory}/"])
    if directory := directory or _directory(_KUBEDOCTOR, words):
        return Layout(TargetKind.KUBEDOCTOR, directory)
    if directory := _directory(_KWOKCTL, words):
        return Layout(TargetKind.KWOKCTL, directory)
    if instance.name == "k0s" or _directory(_K0S, words):
        return Layout(TargetKind.K0S)
    if instance.name == "k3s" or _directory(_K3S, words):
        return Layout(TargetKind.K3S)
    if any(_LOCAL_UP.search(word) for word in words) or _is_etcd_of_local_up(instance):
        return Layout(TargetKind.LOCAL_UP_CLUSTER)
    if any(_KUBEADM.search(word) for word in words):
        return Layout(TargetKind.KUBEADM)
    return None


def _directory(pattern: re.Pattern[str], words: Iterable[str]) -> str:
    return next((found[1] for word in words if (found := pattern.search(word))), "")


def _is_etcd_of_local_up(instance: Instance) -> bool:
    """Return whether it is an etcd as hack/lib/etcd.sh starts it: no other gives its peers a port that cannot be."""
    return instance.name == "etcd" and instance.flag("listen-peer-urls") == "http://localhost:0"
