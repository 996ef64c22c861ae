"""What can be wrong with the container runtime: its socket, its answers; runc is in `kubedoctor_runtime.seccomp`."""

from __future__ import annotations

from collections.abc import Iterator

from kubedoctor import (
    Absent,
    Check,
    Context,
    Denied,
    Evidence,
    FactError,
    Finding,
    Fix,
    Instance,
    Malformed,
    Safety,
    Silent,
    Step,
    StepKind,
    check,
    host,
)
from kubedoctor_runtime.facts import socket_file
from kubedoctor_runtime.seccomp import runc_without_seccomp

RUNTIMES = "https://kubernetes.io/docs/setup/production-environment/container-runtimes/"
PLUGINS = "https://github.com/containerd/containerd/blob/main/docs/PLUGINS.md"
SOCKETS = ("/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock")
"""Where runtimes usually listen: looked at when the one that is wanted is not there."""


KUBELET = ("kubelet.not-running",)
"""What follows where a kubelet starts: it ends when its runtime does not answer."""


@check(
    "runtime.cri-disabled",
    title="the runtime serves the CRI",
    looks_at="disabled_plugins in containerd's configuration and the files it imports, and whether the socket answers "
    "a call of the CRI",
    fix="take the CRI's plugins out of disabled_plugins, then restart containerd",
    seen_as=(
        "unknown service runtime.v1.RuntimeService",
        "validate CRI v1 runtime API for endpoint",
        'invalid disabled plugin URI "cri" expect io.containerd.x.vx',
    ),
    of=host.RUNTIME_COMPONENTS,
    tags=("configuration",),
)
def cri_disabled(context: Context) -> Iterator[Finding]:
    """A containerd from Docker's packages runs and serves no kubelet: its configuration disables the CRI.

    The plugin has several names: `cri` in files of version 1, io.containerd.grpc.v1.cri from 2 on, and
    io.containerd.cri.v1.runtime and .images beside it from 3 on; without any one of them no CRI is served, and no line
    in containerd's log says so. The short name in a file of version 2 or later makes containerd end at once.
    """
    for runtime in host.node_runtimes(context):
        problem: FactError | None = None
        try:
            config = host.runtime_configuration(context, runtime.instance)
        except FactError as unread:
            config, problem = None, unread
        found = list(_disabled(config)) if config is not None else []
        yield from found
        if not found:
            yield from _unserved(context, runtime, problem)


def _disabled(config: host.ContainerdConfig) -> Iterator[Finding]:
    for plugin in (*config.refused, *config.disables_cri):
        file = config.disabled_in.get(plugin, config.files[0])
        if plugin in config.refused:
            message = (
                f'{file} disables "{plugin}", a name that a file of version {config.version} must not have: '
                "containerd ends at once"
            )
        else:
            message = f"containerd serves no CRI: {file} disables {plugin}"
        yield Finding(
            message=message,
            subject=f"{file} {plugin}",
            explains=KUBELET,
            evidence=(
                Evidence(
                    source=file,
                    observed=f'version = {config.version}, disabled_plugins has "{plugin}"',
                    expected="disabled_plugins without it",
                ),
            ),
            fixes=(
                Fix(
                    summary=f'take "{plugin}" out of disabled_plugins in {file}, then restart containerd and kubelet',
                    safety=Safety.MANUAL,
                    steps=(restart("containerd"), restart("kubelet")),
                    link=PLUGINS,
                ),
            ),
        )


def _unserved(context: Context, runtime: host.Runtime, problem: FactError | None) -> Iterator[Finding]:
    """Ask the socket itself; what keeps it from answering is not told here."""
    if problem is None and _dead(runtime):
        return
    try:
        served = context.get(host.cri_version, runtime.socket, runtime.root)
    except Denied:
        raise
    except FactError:
        if problem is not None:
            raise problem from None
        return
    if served.api == "v1":
        return
    old = f"only {served.api} of the CRI, which no kubelet has taken since 1.26" if served.api else "no CRI"
    yield Finding(
        message=f"{runtime.where} at {runtime.socket} serves {old}",
        subject=runtime.socket,
        explains=KUBELET,
        evidence=(
            Evidence(
                source=runtime.socket,
                observed=f"serves {served.api or 'no runtime.v1.RuntimeService'}",
                expected="answers runtime.v1.RuntimeService/Version",
            ),
        ),
        fixes=(
            Fix(
                summary="install a newer containerd"
                if served.api
                else "enable the CRI in the runtime's configuration, or correct the kubelet's containerRuntimeEndpoint",
                link=RUNTIMES,
            ),
        ),
    )


@check(
    "runtime.socket-missing",
    title="the runtime's socket is where the kubelet looks for it",
    looks_at="the path in the kubelet's containerRuntimeEndpoint (file, drop-ins, flag), and where runtimes listen",
    fix="correct the kubelet's containerRuntimeEndpoint, or start the runtime",
    seen_as=(
        "connect: no such file or directory",
        'failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint "unix:///',
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("runtime.cri-disabled",),
    tags=("configuration",),
)
def socket_missing(context: Context) -> Iterator[Finding]:
    """A kubelet that does not find its runtime's socket ends at once, also when the runtime listens elsewhere."""
    for runtime in host.node_runtimes(context):
        try:
            kind = context.get(socket_file, runtime.socket, runtime.root)
        except Absent:
            yield _missing(context, runtime)
            continue
        if kind != "socket":
            yield _no_socket(runtime, kind)


def _missing(context: Context, runtime: host.Runtime) -> Finding:
    elsewhere = _elsewhere(context, runtime)
    wants = f"{_name(runtime.kubelet)} wants its runtime at" if runtime.kubelet else "there is no socket at"
    told = f" ({runtime.wanted_by})" if runtime.wanted_by else ""
    if runtime.kubelet is not None and elsewhere:
        path, who = elsewhere
        message = f"{wants} {runtime.socket}, which does not exist: {who} listens at {path}"
        fixes = [
            Fix(
                summary=f"set containerRuntimeEndpoint to unix://{path} in {runtime.wanted_by or 'its configuration'}, "
                "then restart kubelet",
                steps=(restart("kubelet"),),
                link=RUNTIMES,
            )
        ]
    elif runtime.instance is not None and runtime.instance.is_running:
        message = f"{wants} {runtime.socket}, which is gone, though {runtime.where} runs"
        fixes = [_start(runtime, "restart")]
    else:
        nobody = f"{runtime.name} does not run" if runtime.instance is not None else "no runtime is seen to run"
        message = f"{nobody}: {wants} {runtime.socket}, which does not exist"
        fixes = [_start(runtime, "start")]
    return Finding(
        message=message,
        subject=runtime.socket,
        explains=KUBELET,
        evidence=(
            Evidence(source=f"{runtime.socket}{told}", observed="does not exist", expected="a socket that answers"),
        ),
        fixes=tuple(fixes),
    )


def _no_socket(runtime: host.Runtime, kind: str) -> Finding:
    return Finding(
        message=f"{runtime.socket}, where {_name(runtime.kubelet)} wants its runtime, is a {kind} and no socket",
        subject=runtime.socket,
        explains=KUBELET,
        evidence=(Evidence(source=runtime.socket, observed=f"a {kind}", expected="a socket"),),
        fixes=(Fix(summary=f"remove {runtime.socket}, then restart {runtime.name}", steps=(restart(runtime.name),)),),
    )


def _elsewhere(context: Context, runtime: host.Runtime) -> tuple[str, str] | None:
    """Return where a runtime listens, and which; None when none is found."""
    for instance in context.target.all("containerd", "crio", "cri-dockerd"):
        if not instance.is_running:
            continue
        try:
            path = host.served_socket(context, instance)
            if path != runtime.socket and context.get(socket_file, path, instance.root) == "socket":
                return path, _name(instance)
        except FactError:
            continue
    for path in SOCKETS:
        try:
            if path != runtime.socket and context.get(socket_file, path, runtime.root) == "socket":
                return path, "a runtime"
        except FactError:
            continue
    return None


@check(
    "runtime.not-answering",
    title="the runtime answers the CRI and is ready",
    looks_at="Version and Status of the CRI at the socket the kubelet uses, and the state of the runtime's process",
    fix="start the runtime, or let it go on",
    seen_as=(
        "container runtime is down",
        "connect: connection refused",
        "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "PLEG is not healthy",
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("runtime.socket-missing",),
    tags=("health",),
    aliases=("CRI",),
)
def not_answering(context: Context) -> Iterator[Finding]:
    """Without its runtime a kubelet starts and stops nothing; its node stays Ready for half a minute.

    A socket left behind by a runtime that was killed refuses connections. One that is stopped, or waits for a dead
    disk, takes them and never answers.
    """
    for runtime in host.node_runtimes(context):
        if runtime.instance is not None and runtime.instance.is_running and _dead(runtime):
            yield from _dead(runtime)
            continue
        try:
            status = context.get(host.cri_status, runtime.socket, runtime.root)
        except (Silent, Malformed, Absent) as problem:
            yield _silent(runtime, problem)
            continue
        ready = status.condition("RuntimeReady")
        if ready is not None and not ready.status:
            yield _unready(runtime, ready)


def _dead(runtime: host.Runtime) -> list[Finding]:
    return host.liveness_findings(runtime.instance) if runtime.instance is not None else []


def _silent(runtime: host.Runtime, problem: FactError) -> Finding:
    gone = runtime.instance is not None and not runtime.instance.is_running
    return Finding(
        message=f"{runtime.where} does {'not run' if gone else 'not answer'}: {problem.reason}",
        subject=runtime.socket,
        explains=KUBELET,
        evidence=(Evidence(source=runtime.socket, observed=problem.reason, expected="an answer to Version"),),
        fixes=(_start(runtime, "start" if gone else "restart"),),
    )


def _unready(runtime: host.Runtime, condition: host.CriCondition) -> Finding:
    told = f"{condition.reason} {condition.message}".strip()
    return Finding(
        message=f"{runtime.where} says that it is not ready: {told}",
        subject=runtime.socket,
        explains=KUBELET,
        evidence=(Evidence(source=f"{runtime.socket} Status", observed=f"RuntimeReady=false {told}", expected="true"),),
        fixes=(_start(runtime, "restart"),),
    )


# ----------------------------------------------------------------------------------------------------------------------


def restart(component: str) -> Step:
    """Return the step that restarts a component."""
    return Step(kind=StepKind.RESTART_COMPONENT, component=component)


def _start(runtime: host.Runtime, verb: str) -> Fix:
    log = runtime.instance.log if runtime.instance is not None else ""
    where = f"see why in {log}, then {verb} {runtime.name}" if log else f"{verb} {runtime.name}"
    return Fix(
        summary=where,
        safety=Safety.SAFE if verb == "start" else Safety.DISRUPTIVE,
        steps=(restart(runtime.name),) if runtime.instance is not None else (),
        link="" if runtime.instance is not None else RUNTIMES,
    )


def _name(instance: Instance | None) -> str:
    if instance is None:
        return "the kubelet"
    return f"{instance.name} (pid {instance.pid})" if instance.is_running else instance.name


CHECKS: tuple[Check, ...] = (cri_disabled, socket_missing, not_answering, runc_without_seccomp)
