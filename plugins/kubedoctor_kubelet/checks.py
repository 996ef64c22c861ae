"""What can be wrong with the kubelet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubedoctor import (
    Absent,
    Check,
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    Instance,
    Severity,
    Step,
    StepKind,
    check,
    host,
)
from kubedoctor_kubelet.facts import node_name, systemd_runs

DRIVERS = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/configure-cgroup-driver/"
GATE = "KubeletCgroupDriverFromCRI"
SINCE = (1, 31)
"""From this version on a kubelet takes the driver from its runtime, where that tells it (KEP-4033)."""
_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})\b")


@check(
    "kubelet.not-running",
    title="the kubelet runs",
    looks_at="the process of the kubelet that should run here, and its state",
    fix="mend what its log names, then start it",
    seen_as=(
        "Kubelet stopped posting node status.",
        "Unable to connect to the server: dial tcp: 10250: connect: connection refused",
    ),
    of=("kubelet",),
    tags=("health",),
)
def not_running(context: Context) -> Iterator[Finding]:
    """Without a kubelet the pods of the node run on, and nothing that is wished for comes about any more.

    For 40 seconds the node still looks Ready. One that somebody has stopped by a signal looks alive to whoever started
    it.
    """
    for instance in context.target.all("kubelet"):
        yield from host.liveness_findings(instance)


@check(
    "kubelet.cgroup-driver-mismatch",
    title="kubelet and runtime use one cgroup driver, and it can work here",
    looks_at="cgroupDriver of the kubelet (file, drop-ins, flag, and /configz through the API), the driver that the "
    "runtime tells by RuntimeConfig, SystemdCgroup of its default handler, and whether systemd runs",
    fix="give both the same driver: systemd where systemd runs, else cgroupfs",
    seen_as=(
        'kubelet cgroup driver: "cgroupfs" is different from docker cgroup driver: "systemd"',
        'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups',
        "systemd cgroup flag passed, but systemd support for managing cgroups is not available",
    ),
    of=("kubelet",),
    requires=("runtime.not-answering",),
    tags=("cgroups", "configuration"),
    aliases=("ContainerRuntimeVersion",),
)
def cgroup_driver_mismatch(context: Context) -> Iterator[Finding]:
    """Kubelet and runtime each make cgroups: the one a pod's, the other the containers' in it.

    With different drivers no pod starts. A kubelet from 1.31 on asks its runtime, and its own setting does not count
    any more: then a difference is only mentioned. The driver systemd needs a systemd that runs.
    """
    for runtime in host.node_runtimes(context):
        if runtime.kubelet is None or runtime.kubelet.name != "kubelet":
            continue
        setting = host.kubelet_setting(context, runtime.kubelet)
        told, source = _told(context, runtime)
        if told == "systemd" and not context.get(systemd_runs, runtime.root):
            yield _without_systemd(runtime, source)
        elif setting.cgroup_driver != told:
            yield _different(context, runtime, setting, told, source)


def _told(context: Context, runtime: host.Runtime) -> tuple[str, str]:
    """Return the runtime's driver, and what says so; raise FactError when that cannot be told."""
    try:
        return context.get(host.cri_cgroup_driver, runtime.socket, runtime.root), "RuntimeConfig"
    except Absent:
        pass  # an old one: the kubelet is not told
    default, handlers = host.runtime_handlers(context, runtime)
    for handler in handlers:
        if handler.name == default:
            return "systemd" if handler.systemd_cgroup else "cgroupfs", f"handler {default}"
    raise Absent(f"{runtime.where} does not tell its cgroup driver")


def _different(
    context: Context, runtime: host.Runtime, setting: host.KubeletSetting, told: str, source: str
) -> Finding:
    kubelet = runtime.kubelet
    assert kubelet is not None  # noqa: S101 - asked by the caller
    follows = _follows(context, kubelet, told) if source == "RuntimeConfig" and setting.gates.get(GATE, True) else False
    whose = setting.driver_from or "the default of the kubelet"
    own = f"cgroupDriver {setting.cgroup_driver}" if setting.driver_from else f"the default, {setting.cgroup_driver}"
    where = setting.driver_from or "the kubelet's configuration"
    if follows is not False:
        since = "" if follows else ", if it is 1.31 or later"
        message = f"{_name(kubelet)} is set to {own} and uses {told}, as {runtime.where} tells it to{since}"
    else:
        message = f"{_name(kubelet)} uses {own}, {runtime.where} uses {told}: no pod starts"
    return Finding(
        message=message,
        subject="cgroup driver",
        severity=None if follows is False else Severity.INFO,
        evidence=(
            Evidence(source=whose, observed=setting.cgroup_driver, expected=told),
            Evidence(source=f"{runtime.where}, {source}", observed=told),
        ),
        fixes=(
            Fix(
                summary=f"set cgroupDriver: {told} in {where}, then restart kubelet",
                steps=(Step(kind=StepKind.RESTART_COMPONENT, component="kubelet"),),
                link=DRIVERS,
            ),
        ),
    )


def _without_systemd(runtime: host.Runtime, source: str) -> Finding:
    return Finding(
        message=f"{runtime.where} uses the cgroup driver systemd, and systemd does not run here: no pod starts",
        subject="cgroup driver without systemd",
        evidence=(
            Evidence(source=f"{runtime.where}, {source}", observed="systemd", expected="cgroupfs"),
            Evidence(source="/run/systemd/system", observed="does not exist"),
        ),
        fixes=(
            Fix(
                summary="set SystemdCgroup = false in the runtime's configuration, then restart it and kubelet",
                steps=tuple(
                    Step(kind=StepKind.RESTART_COMPONENT, component=name) for name in (runtime.name, "kubelet")
                ),
                link=DRIVERS,
            ),
        ),
    )


def _follows(context: Context, kubelet: Instance, told: str) -> bool | None:
    """Return whether the kubelet uses the driver that its runtime tells; None when nobody says.

    It says itself which one it uses, through the API; what it is set to does not show there.
    """
    admin = context.target.kubeconfig
    if not admin:
        return None
    node = kubelet.flag("hostname-override") or context.get(node_name)
    try:
        used = context.get(host.kubelet_configz, admin, 0, 0, node).cgroup_driver
        if used:
            return used == told
    except FactError:
        pass  # who may not ask the kubelet may still ask which version it is
    try:
        version = _VERSION.match(context.get(host.node_versions, admin, 0, 0, node).kubelet)
    except FactError:
        return None
    return (int(version[1]), int(version[2])) >= SINCE if version else None


def _name(kubelet: Instance) -> str:
    return f"kubelet (pid {kubelet.pid})" if kubelet.is_running else "kubelet"


CHECKS: tuple[Check, ...] = (not_running, cgroup_driver_mismatch)
