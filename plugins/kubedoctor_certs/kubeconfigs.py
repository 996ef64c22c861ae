"""The check that kubeconfigs lead somewhere, as somebody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kubedoctor import (
    Absent,
    Check,
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    Malformed,
    Safety,
    Severity,
    Step,
    StepKind,
    TargetKind,
    check,
    host,
    run,
)
from kubedoctor_certs.consequences import WORK
from kubedoctor_certs.fixes import KUBEADM_DOCS, cluster_name
from kubedoctor_certs.sight import Sight
from kubedoctor_certs.sources import UsedKubeconfig
from kubedoctor_certs.survey import survey
from kubedoctor_certs.tables import COMPONENTS

_API_PORT = 6443
_DOCS = "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/"


@check(
    "certs.kubeconfig-broken",
    title="kubeconfigs lead somewhere, as somebody",
    looks_at="the kubeconfigs that flags and configuration files of components name, the administrator's, and those in "
    "kubeadm's usual places: references, the files they name, whether the exec plugin is there; nothing is run",
    fix="correct the kubeconfig, or have it written anew",
    seen_as=(
        "stat /etc/kubernetes/controller-manager.conf: no such file or directory",
        "error loading config file",
        "invalid configuration: no configuration has been provided",
        "Please enter Username:",
        "the server rejected our request for an unknown reason",
        "Client sent an HTTP request to an HTTPS server",
        "exec: executable … not found",
    ),
    of=("*",),
    tags=("kubeconfig",),
)
def kubeconfig_broken(context: Context) -> Iterator[Finding]:
    """A kubeconfig that is not there or refers to what is not there keeps a component from starting.

    kube-apiserver knows nothing of it. kubectl asks for a user name where the user is missing, and goes to
    localhost:8080 where no context is chosen.
    """
    sight = Sight(context, tells_broken=True)
    for used in _distinct(survey(context, sight).kubeconfigs):
        config = sight.kubeconfig(used.path, used.root)
        if isinstance(config, Absent):
            if not (used.instead and not isinstance(sight.kubeconfig(used.instead, used.root), Absent)):
                yield _absent(context, used)
        elif isinstance(config, Malformed):
            yield _finding(context, used, f"cannot be read: {config.reason}", "a kubeconfig")
        elif not isinstance(config, FactError):
            yield from _problems(context, sight, used, config)
    sight.finish()


def _distinct(kubeconfigs: list[UsedKubeconfig]) -> Iterator[UsedKubeconfig]:
    yield from {(one.path, one.root): one for one in reversed(kubeconfigs)}.values()


def _absent(context: Context, used: UsedKubeconfig) -> Finding:
    named = f" ({used.name})" if used.name else ""
    return Finding(
        message=f"the kubeconfig of {used.who}{named} does not exist: {used}",
        subject=str(used),
        evidence=(Evidence(source=str(used), observed="no such file", expected=f"a kubeconfig for {used.who}"),),
        fixes=_fixes(context, used),
        explains=WORK.get(used.who, ()),
    )


def _finding(
    context: Context,
    used: UsedKubeconfig,
    problem: str,
    expected: str = "",
    *,
    severity: Severity | None = None,
    how: str = "",
) -> Finding:
    """Return the finding; *how* to mend it, where that is better than to write the file anew."""
    return Finding(
        message=f"the kubeconfig of {used.who} {problem}" + (f", in {used}" if str(used) not in problem else ""),
        subject=str(used),
        severity=severity,
        evidence=(Evidence(source=str(used), observed=problem, expected=expected),),
        fixes=(Fix(summary=how, link=_DOCS),) if how else _fixes(context, used),
        explains=WORK.get(used.who, ()) if severity is None else (),
    )


def _problems(context: Context, sight: Sight, used: UsedKubeconfig, config: host.KubeconfigFact) -> Iterator[Finding]:
    problems = [one for one in config.problems if used.asks_api or "credentials" not in one]
    if used.server:  # --master says where to go
        problems = [one for one in problems if "has no server" not in one]
    for problem in problems:
        severity = Severity.WARNING if problem.endswith("has no credentials") else None
        yield _finding(context, used, f"is broken: {problem}", severity=severity)
    for problem in config.dangling:
        yield _finding(context, used, f"has a dead end: {problem}", severity=Severity.INFO)
    if config.cluster is not None and not config.cluster.problem:
        yield from _of_cluster(context, sight, used, config.cluster)
    if config.user is not None and not config.user.problem:
        yield from _of_user(context, sight, used, config.user)


def _of_cluster(
    context: Context, sight: Sight, used: UsedKubeconfig, cluster: host.KubeconfigCluster
) -> Iterator[Finding]:
    if cluster.ca_file:
        yield from _file(context, used, "certificate authority", sight.certificates(cluster.ca_file, used.root))
    if used.asks_api and not used.server and cluster.scheme == "http" and _speaks_tls(context, used, cluster):
        problem = f"says http where the API server speaks https only: {cluster.server}"
        right = f"https://{cluster.server.partition('://')[2] or cluster.server}"
        yield _finding(context, used, problem, right, how=f"write {right} as the server of cluster `{cluster.name}`")
    elif cluster.scheme not in ("http", "https"):
        yield _finding(context, used, f"has a server that is no URL: {cluster.server}", "https://HOST:PORT")


def _of_user(context: Context, sight: Sight, used: UsedKubeconfig, user: host.KubeconfigUser) -> Iterator[Finding]:
    if user.certificate_file:
        found = sight.certificates(user.certificate_file, used.root)
        yield from _file(context, used, "client certificate", found)
    if user.key_file:
        yield from _file(context, used, "client key", sight.key(user.key_file, used.root))
    if user.exec_command and user.exec_path == "":
        problem = f"needs the program `{user.exec_command}` to log in, which is not there"
        yield _finding(context, used, problem, "an executable on the PATH", how=f"install `{user.exec_command}`")


def _file(context: Context, used: UsedKubeconfig, what: str, found: object) -> Iterator[Finding]:
    if isinstance(found, Absent | Malformed):
        yield _finding(context, used, f"names a {what} that is no good: {found.reason}")


def _speaks_tls(context: Context, used: UsedKubeconfig, cluster: host.KubeconfigCluster) -> bool:
    """Return whether the server is an API server of this target, which speaks nothing else, or answers with TLS."""
    ports = {one.flag("secure-port") or str(_API_PORT) for one in context.target.all("kube-apiserver")}
    if str(cluster.port) in ports:
        return True
    address = "127.0.0.1" if cluster.host == "localhost" else cluster.host
    try:
        ipaddress.ip_address(address)
        context.get(host.served_certificate, address, cluster.port, used.instance.net if used.instance else 0)
    except (ValueError, FactError):
        return False
    return True


def _fixes(context: Context, used: UsedKubeconfig) -> tuple[Fix, ...]:
    file = used.path.rpartition("/")[2]
    if context.target.kind is TargetKind.KUBEDOCTOR:
        option = "" if cluster_name(context.target) == "local" else f" --name {cluster_name(context.target)}"
        return (Fix(summary=f"`kubedoctor down{option}` and `up{option}`: it writes kubeconfigs anew"),)
    if context.target.kind is TargetKind.KUBEADM and used.path.startswith("/etc/kubernetes/"):
        phase = {"admin.conf": "admin", "super-admin.conf": "super-admin", "kubelet.conf": "kubelet"}.get(file)
        phase = phase or {"controller-manager.conf": "controller-manager", "scheduler.conf": "scheduler"}.get(file)
        if phase:
            is_component = used.who in COMPONENTS
            restart = (Step(kind=StepKind.RESTART_COMPONENT, component=used.who),) if is_component else ()
            return (
                Fix(
                    summary=f"move {used} away and have kubeadm write it anew",
                    safety=Safety.DISRUPTIVE,
                    steps=(run("kubeadm", "init", "phase", "kubeconfig", phase), *restart),
                    link=KUBEADM_DOCS,
                ),
            )
    return (Fix(summary=f"correct {used}", link=_DOCS),)


CHECKS: tuple[Check, ...] = (kubeconfig_broken,)
