"""Which versions may run together, by Kubernetes' own policy, and which etcd may open which data."""

from __future__ import annotations

from collections.abc import Mapping

from kubedoctor.cluster.binaries.versions import Version
from kubedoctor.errors import PlanError

APISERVER = "kube-apiserver"

KUBERNETES = (
    APISERVER, "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "kubeadm",
    "cloud-controller-manager",
)  # fmt: skip
"""The binaries of a Kubernetes release; the first one of these that is wanted settles the version of the others."""

POLICY = "https://kubernetes.io/releases/version-skew-policy/"

# How many minor versions a component may be (older, newer) than kube-apiserver.
_ALLOWED = {
    "kube-controller-manager": (1, 0),
    "kube-scheduler": (1, 0),
    "cloud-controller-manager": (1, 0),
    "kubelet": (3, 0),
    "kube-proxy": (3, 0),
    "kubectl": (1, 1),
}
_OLD_NODE_SKEW = 2  # for kubelet and kube-proxy under 1.25

# The smallest etcd of a Kubernetes minor version and later ones: MinExternalEtcdVersion of kubeadm (constants.go) as of
# v1.30.14, v1.32.13, v1.33.13, v1.34.4 and v1.37.2. Newer apiservers use what etcd 3.7 adds, and do without where it
# lacks.
_ETCD_MINIMUM = (((1, 32), Version(3, 5, 24)), ((1, 22), Version(3, 4, 13)))

# The smallest version of others that a kubelet can work with.
_LEAST = {"containerd": (Version(1, 6), "kubelets since 1.26 ask for version 1 of the CRI, which came with v1.6")}


def check_skew(versions: Mapping[str, str]) -> None:
    """Raise PlanError naming the rule when *versions* (of binaries, by name) may not run together.

    Names without a rule, and versions that are empty or not stamped into the binary, are left alone.
    """
    problem = skew_problem(versions)
    if problem:
        message, hint = problem
        raise PlanError(message, hint=hint)


def skew_problem(versions: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what Kubernetes does not allow about *versions*, as message and hint; None when all is allowed."""
    parsed = {name: version for name, text in versions.items() if (version := Version.parse(text)) and version.stamped}
    server = parsed.get(APISERVER)
    if server:
        for name in (*_ALLOWED, "etcd"):
            version = parsed.get(name)
            rule = version and _rule(name, version, server)
            if rule:
                hint = f"choose another {name} with --binary {name}=PATH, or one version for all with --kubernetes"
                return f"{name} {version} cannot run with kube-apiserver {server}: {rule}", f"{hint}\nrules: {POLICY}"
    for name, (least, why) in _LEAST.items():
        if name in parsed and parsed[name] < least:
            hint = f"choose {name} {least} or newer with --binary {name}=PATH"
            return f"{name} {parsed[name]} is too old: {why}", hint
    kubelet, proxy = parsed.get("kubelet"), parsed.get("kube-proxy")
    if kubelet and proxy and (kubelet.major != proxy.major or abs(kubelet.minor - proxy.minor) > _node_skew(proxy)):
        rule = f"they may be at most {_node_skew(proxy)} minor versions apart"
        return f"kube-proxy {proxy} cannot run beside kubelet {kubelet}: {rule}", f"rules: {POLICY}"
    return None


def _rule(name: str, version: Version, server: Version) -> str:
    if name == "etcd":
        return _etcd_rule(version, server)
    older, newer = _ALLOWED[name]
    if name in ("kubelet", "kube-proxy"):
        older = _node_skew(version)
    if version.major != server.major:
        return "their major versions differ"
    ahead = version.minor - server.minor
    if ahead > newer:
        limit = f"may be at most {_minors(newer)}" if newer else "must not be"
        return f"it {limit} newer than kube-apiserver"
    return f"it may be at most {_minors(older)} older than kube-apiserver" if -ahead > older else ""


def _etcd_rule(version: Version, server: Version) -> str:
    minimum = next((least for since, least in _ETCD_MINIMUM if server.line >= since), None)
    return f"kube-apiserver {server} asks for etcd {minimum} or newer" if minimum and version < minimum else ""


def _node_skew(version: Version) -> int:
    return _OLD_NODE_SKEW if version.line < (1, 25) else _ALLOWED["kubelet"][0]


def _minors(count: int) -> str:
    return f"{count} minor version{'s' if count != 1 else ''}"


def check_data_version(recorded: str, version: str, *, component: str = "etcd") -> None:
    """Raise PlanError when data last written by *recorded* would be opened by an older *version* of *component*.

    An older etcd starts on newer data and says that it is healthy. Patch releases of one minor version share their
    format; an empty or unknown version on either side tells nothing.
    """
    before, now = Version.parse(recorded), Version.parse(version)
    if before and now and before.stamped and now.stamped and now.line < before.line:
        raise PlanError(
            f"the data was last written by {component} {before}; the older {component} {now} must not open it",
            hint=f"use {component} {before.major}.{before.minor} or newer (--binary {component}=PATH), "
            "or start afresh with `kubedoctor down --delete`",
        )
