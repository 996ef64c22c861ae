"""Which versions may run together, by Kubernetes' own policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubedoctor.records import dataclass
from kubedoctor.versions import Version

APISERVER = "kube-apiserver"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Two that may not run together, and the rule against it; `beside` is empty for one that is too old for any."""

    name: str
    version: str
    beside: str = ""
    beside_version: str = ""
    rule: str

    def __str__(self) -> str:
        if not self.beside:
            return f"{self.name} {self.version} is too old: {self.rule}"
        verb = "run with" if self.beside == APISERVER else "run beside"
        return f"{self.name} {self.version} cannot {verb} {self.beside} {self.beside_version}: {self.rule}"


def version_mismatches(versions: Mapping[str, str]) -> Iterator[Mismatch]:
    """Yield what Kubernetes does not allow about *versions* (by component), each pair once.

    Names without a rule, and versions that are empty or not stamped into the binary, are left alone.
    """
    parsed = {name: version for name, text in versions.items() if (version := Version.parse(text)) and version.stamped}
    server = parsed.get(APISERVER)
    for name in (*_ALLOWED, "etcd") if server else ():
        version = parsed.get(name)
        if server and version and (rule := _rule(name, version, server)):
            yield Mismatch(name=name, version=str(version), beside=APISERVER, beside_version=str(server), rule=rule)
    for name, (least, why) in _LEAST.items():
        if name in parsed and parsed[name] < least:
            yield Mismatch(name=name, version=str(parsed[name]), rule=why)
    kubelet, proxy = parsed.get("kubelet"), parsed.get("kube-proxy")
    if kubelet and proxy and (kubelet.major != proxy.major or abs(kubelet.minor - proxy.minor) > _node_skew(proxy)):
        rule = f"they may be at most {_node_skew(proxy)} minor versions apart"
        yield Mismatch(name="kube-proxy", version=str(proxy), beside="kubelet", beside_version=str(kubelet), rule=rule)


def least_version(name: str) -> str:
    """Return the smallest version of *name* that works with any kubelet, empty when there is no rule."""
    return str(_LEAST[name][0]) if name in _LEAST else ""


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
