"""Whether what runs together may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubedoctor import (
    Check,
    Context,
    Denied,
    Evidence,
    FactError,
    Finding,
    Fix,
    Instance,
    Mismatch,
    NotApplicable,
    Severity,
    check,
    host,
    version_mismatches,
)
from kubedoctor_binaries.facts import kubelet_versions, reported_version

APISERVER = "kube-apiserver"
POLICY = "https://kubernetes.io/releases/version-skew-policy/"
_METRICS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
"""Components that tell their version in their metrics, to an administrator, and where they do unless told otherwise."""
_BUILD = "kubernetes_build_info"
_NAMES = (APISERVER, *_METRICS, "kubelet", "kube-proxy", "etcd", "containerd")


@dataclass(frozen=True, slots=True)
class _Version:
    """A version with where it was told. `node` is of whom, where there may be several."""

    name: str
    text: str
    source: str
    node: str = ""


@check(
    "binaries.version-skew",
    title="the versions of the components may run together",
    looks_at="/version of kube-apiserver and etcd, metrics of the others, the versions of the nodes' kubelets, and "
    "what stands in the programs themselves; none is run",
    fix="bring the components to versions that Kubernetes' skew policy allows",
    seen_as=("the server could not find the requested resource", "unknown field", "this version of etcd is too old"),
    of=(APISERVER,),
    severity=Severity.WARNING,
    requires=("apiserver.not-ready",),
    tags=("versions",),
    aliases=("ExternalEtcdVersion", "KubeletVersion", "KubernetesVersion"),
)
def version_skew(context: Context) -> Iterator[Finding]:
    """Components that are too far apart mostly work, until they come to what one of them does not know.

    No component may be newer than kube-apiserver; kube-controller-manager and kube-scheduler may be one minor version
    older, kubelet and kube-proxy three. An etcd that is too old lacks what kube-apiserver asks it for.
    """
    problems: list[FactError] = []
    server = _first(_told_by_apiserver(context), problems)
    if server is None:
        raise problems[0] if problems else NotApplicable(f"no {APISERVER} runs here")
    for other in _others(context, problems):
        for mismatch in version_mismatches({server.name: server.text, other.name: other.text}):
            yield _finding(mismatch, server, other)
    if problems:
        raise problems[0]


def _others(context: Context, problems: list[FactError]) -> Iterator[_Version]:
    for name in (*_METRICS, "kube-proxy", "containerd"):
        for instance in context.target.all(name):
            if instance.is_running and (found := _first(_told_by(context, instance), problems)):
                yield found
    if etcd := _first(_told_by_etcd(context), problems):
        yield etcd
    yield from _kubelets(context, problems)


Way = Callable[[], _Version]


def _first(ways: Iterator[Way], problems: list[FactError]) -> _Version | None:
    """Return what the first way tells that works; note why none does."""
    problem: FactError | None = None
    for way in ways:
        try:
            return way()
        except FactError as refused:
            problem = problem or refused
    if problem is not None:
        problems.append(problem)
    return None


def _told_by_apiserver(context: Context) -> Iterator[Way]:
    for instance in context.target.all(APISERVER):
        if not instance.is_running:
            continue
        url = f"{host.reachable_url('https', *host.secure_address(instance, '0.0.0.0', 6443))}/version"  # noqa: S104
        identities = [host.NOBODY]
        if context.target.kubeconfig:
            identities.append(host.Identity(kubeconfig=context.target.kubeconfig))
        for identity in identities:
            yield _reporting(context, APISERVER, url, instance.net, identity)
        yield _written(context, instance)


def _told_by(context: Context, instance: Instance) -> Iterator[Way]:
    if (port := _METRICS.get(instance.name)) and context.target.kubeconfig:
        url = f"{host.reachable_url('https', *host.secure_address(instance, '0.0.0.0', port))}/metrics"  # noqa: S104
        yield lambda: _measured(context, instance, url)
    yield _written(context, instance)


def _told_by_etcd(context: Context) -> Iterator[Way]:
    for server in context.target.all(APISERVER):
        url = server.flag("etcd-servers").split(",")[0].strip().rstrip("/")
        certificate, key = server.path("etcd-certfile"), server.path("etcd-keyfile")
        if url.startswith(("http://", "https://")):
            identity = host.Identity(certificate=certificate, key=key, root=server.root)
            yield _reporting(context, "etcd", f"{url}/version", server.net, identity)
    for instance in context.target.all("etcd"):
        if instance.is_running:
            yield _written(context, instance)


def _kubelets(context: Context, problems: list[FactError]) -> Iterator[_Version]:
    if context.target.kubeconfig:
        try:
            for node, version in context.get(kubelet_versions, context.target.kubeconfig).items():
                yield _Version("kubelet", version, f"node {node}", node)
            return
        except FactError as refused:
            problems.append(refused)
    for instance in context.target.all("kubelet"):
        if instance.is_running and (found := _first(iter([_written(context, instance)]), problems)):
            yield found


def _reporting(context: Context, name: str, url: str, net: int, identity: host.Identity) -> Way:
    return lambda: _Version(name, context.get(reported_version, url, net, identity), url)


def _measured(context: Context, instance: Instance, url: str) -> _Version:
    identity = host.Identity(kubeconfig=context.target.kubeconfig)
    for sample in context.get(host.metrics, url, instance.net, (_BUILD,), identity):
        if version := sample.labels.get("git_version"):
            return _Version(instance.name, version, url)
    raise Denied(f"{url} tells no version")


def _written(context: Context, instance: Instance) -> Way:
    """Return the way of reading what the Go toolchain has written into the program."""

    def read() -> _Version:
        program = f"/proc/{instance.pid}/exe"
        info = context.get(host.build_info, program, 0)
        if not info.version:
            raise Denied(
                f"the version of {instance.name} is not told: its program does not say it, and its metrics "
                "need an administrator's kubeconfig"
            )
        return _Version(instance.name, info.version, instance.executable or program)

    return read


def _finding(mismatch: Mismatch, server: _Version, other: _Version) -> Finding:
    where = f" on node {other.node}" if other.node else ""
    beside = f" beside {mismatch.beside} {mismatch.beside_version}" if mismatch.beside else ""
    return Finding(
        message=f"{mismatch.name} {mismatch.version}{where} runs{beside}, which Kubernetes does not support: "
        f"{mismatch.rule}",
        subject=f"{mismatch.name} {other.node}".strip(),
        evidence=(
            Evidence(source=other.source, observed=other.text, expected=mismatch.rule),
            Evidence(source=server.source, observed=server.text),
        ),
        fixes=(Fix(summary=f"replace {mismatch.name} by a version that is allowed, or {APISERVER}", link=POLICY),),
    )


CHECKS: tuple[Check, ...] = (version_skew,)
