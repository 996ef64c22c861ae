"""Recipes for binaries that are not there: release files and Go modules, with the versions taken by default."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import Candidate, ClusterConfig, Download, GoBuild
from kubedoctor_binaries import node
from kubedoctor_binaries.places import architecture

KUBERNETES_VERSION = "v1.37.2"
"""The Kubernetes that is run without a wish."""

ETCD_VERSIONS = (("1.37-", "v3.7.3"), ("1.34-1.36", "v3.6.16"), ("-1.33", "v3.5.34"))
"""The etcd for Kubernetes minor versions: the newest patch of the minor version that its release was tested with."""

_KUBERNETES = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "kubeadm",
)  # fmt: skip
_ETCD = {"etcd": "server", "etcdctl": "etcdctl", "etcdutl": "etcdutl"}

# What Kubernetes' own build stamps in; without it the programs say v0.0.0-master and refuse to judge skew.
_STAMP = (
    "k8s.io/component-base/version.gitVersion={version}",
    "k8s.io/component-base/version.gitMajor={major}",
    "k8s.io/component-base/version.gitMinor={minor}",
    "k8s.io/client-go/pkg/version.gitVersion={version}",
)


def recipes(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    """Return how *name* is fetched and built; nothing for names that are not known here."""
    if name in _KUBERNETES:
        yield from _kubernetes(name, config)
    elif name in _ETCD:
        yield from _etcd(name, config)
    else:
        yield from node.recipes(name, config)


def _kubernetes(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    base = config.download_url.rstrip("/")
    url = f"{base}/{{version}}/bin/linux/{architecture()}/{name}"
    yield Download(
        url=url,
        checksum_url=f"{url}.sha256",
        version=KUBERNETES_VERSION,
        any_version=True,
        newest_url=f"{base}/stable{{minor}}.txt",
    )
    yield GoBuild(
        module="k8s.io/kubernetes",
        version=KUBERNETES_VERSION,
        packages={program: f"k8s.io/kubernetes/cmd/{program}" for program in _KUBERNETES},
        stamp=_STAMP,
        staging=True,
        any_version=True,
    )


def _etcd(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    releases = f"{config.github_url.rstrip('/')}/etcd-io/etcd/releases/download/{{version}}"
    folder = f"etcd-{{version}}-linux-{architecture()}"
    package = f"go.etcd.io/etcd/{_ETCD[name]}/v3"
    for suited, version in ETCD_VERSIONS:
        yield Download(
            url=f"{releases}/{folder}.tar.gz",
            checksum_url=f"{releases}/SHA256SUMS",
            member=f"{folder}/{name}",
            version=version,
            any_version=True,
            suits=suited,
        )
        yield GoBuild(module=package, version=version, packages={name: package}, any_version=True, suits=suited)
