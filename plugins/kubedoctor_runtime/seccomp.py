"""Whether what runs the containers can do seccomp."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import (
    Absent,
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    Malformed,
    NotApplicable,
    Severity,
    check,
    host,
)

RUNC = "https://github.com/opencontainers/runc#building"
OPT = "/opt/containerd"
DEFAULT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""The PATH that systemd gives its services: of a runtime whose own we may not see."""


@check(
    "runtime.runc-without-seccomp",
    title="runc is there and was built with seccomp",
    looks_at="the program of each runc handler as containerd finds it (BinaryName, PATH), read and not run, and "
    "whether the kernel has seccomp",
    fix="install a runc that was built with the tag seccomp",
    seen_as=(
        "seccomp: config provided but seccomp not supported",
        "unable to init seccomp",
        'exec: "runc": executable file not found in $PATH',
    ),
    of=host.RUNTIME_COMPONENTS,
    requires=("runtime.not-answering",),
    tags=("seccomp",),
)
def runc_without_seccomp(context: Context) -> Iterator[Finding]:
    """With a runc that lacks seccomp no pod starts, with or without a profile: the sandbox always has one.

    The node says that it is Ready. A runc that was built by hand without libseccomp's headers is such a one; the same
    goes for one that is not there at all.
    """
    try:
        context.get(host.sysctl, "kernel.seccomp.actions_avail")
    except Absent:
        raise NotApplicable("this kernel has no seccomp, so runtimes ask for none") from None
    unknown: list[FactError] = []
    for runtime in host.node_runtimes(context):
        default, handlers = host.runtime_handlers(context, runtime)
        for handler in handlers:
            if not handler.type.startswith("io.containerd.runc."):
                continue
            severity = None if handler.name == default else Severity.WARNING
            try:
                yield from _judge(context, _Handler(runtime, handler, severity))
            except FactError as problem:
                unknown.append(problem)
    if unknown:
        raise unknown[0]


@dataclass(frozen=True, slots=True)
class _Handler:
    runtime: host.Runtime
    handler: host.RuntimeHandler
    severity: Severity | None


def _judge(context: Context, one: _Handler) -> Iterator[Finding]:
    path, looked = _find(context, one)
    if not path:
        yield _missing(one, looked)
        return
    build = context.get(host.runc_build, path, one.runtime.root)
    if build.seccomp is None:
        raise Malformed(f"whether {path} can do seccomp: {build.evidence}")
    if not build.seccomp:
        yield Finding(
            message=f"{path}, with which {one.runtime.where} runs containers, lacks seccomp: no pod starts",
            subject=path,
            severity=one.severity,
            evidence=(Evidence(source=path, observed=build.evidence, expected="it was built with libseccomp"),),
            fixes=(Fix(summary=f"put a runc there that was built with seccomp: {path}", link=RUNC),),
        )


def _missing(one: _Handler, looked: tuple[str, ...]) -> Finding:
    name = one.handler.binary or "runc"
    where = f" in its PATH, {':'.join(looked)}" if looked else ""
    return Finding(
        message=f"{one.runtime.where} finds no {name}{' in its PATH' if looked else ''}: no pod starts",
        subject=name,
        severity=one.severity,
        evidence=(
            Evidence(
                source=f"handler {one.handler.name} of {one.runtime.name}",
                observed=f"there is no {name}{where}",
                expected="a program that can be run",
            ),
        ),
        fixes=(Fix(summary=f"install runc as {name}" if name.startswith("/") else "install runc", link=RUNC),),
    )


def _find(context: Context, one: _Handler) -> tuple[str, tuple[str, ...]]:
    """Return the path of the program, as the shim finds it, empty when it is not there; and where it was looked for."""
    name = one.handler.binary or "runc"
    if "/" in name:
        return (name if _can_be_run(context, name, one.runtime.root) else ""), ()
    directories = _directories(context, one.runtime)
    paths = (posixpath.join(directory, name) for directory in directories)
    return next((path for path in paths if _can_be_run(context, path, one.runtime.root)), ""), directories


def _directories(context: Context, runtime: host.Runtime) -> tuple[str, ...]:
    instance = runtime.instance
    config = host.runtime_configuration(context, instance)
    opt = posixpath.join((config.opt_directory if config else "") or OPT, "bin")
    if instance is None or not instance.is_running:
        return (opt, *DEFAULT_PATH)
    return (opt, *context.get(host.search_path, instance.pid))


def _can_be_run(context: Context, path: str, root: int) -> bool:
    try:
        return not context.get(host.program, path, root).problem
    except Absent:
        return False
