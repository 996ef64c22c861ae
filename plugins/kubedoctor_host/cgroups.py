"""The cgroup controllers that a node needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubedoctor import Context, Evidence, FactError, Finding, Fix, Instance, Phase, Safety, check, host, run
from kubedoctor_host.wording import listed

ARCHITECTURE = "https://kubernetes.io/docs/concepts/architecture/cgroups/"
MOUNT = "/sys/fs/cgroup"
NODES = ("kubelet", "k3s")
"""Components that are a kubelet, or have one in them; k0s starts one of its own."""

NEEDED: Mapping[host.CgroupLayout, tuple[str, ...]] = {
    host.CgroupLayout.V1: ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"),
    host.CgroupLayout.V2: ("cpu", "cpuset", "memory", "pids"),
}
"""What kubeadm requires; devices and freezer are part of every cgroup in v2. Without cpu, cpuacct, cpuset or memory a
kubelet on v1 ends at once (validateSystemRequirements of its container manager)."""

DISABLED, UNMOUNTED, WITHHELD, UNKNOWN = (
    "disabled when the kernel starts",
    "not mounted",
    "not available in this cgroup",
    "not in this kernel",
)


@check(
    "host.cgroup-controllers-missing",
    title="the cgroup controllers that a node needs are there",
    looks_at="how /sys/fs/cgroup is mounted, cgroup.controllers or the controllers mounted there, /proc/cgroups",
    fix="enable the controller on the kernel's command line, mount it, or have it delegated",
    seen_as=(
        "Following Cgroup subsystem not mounted: [memory]",
        "has some missing controllers",
        "failed to find memory cgroup (v2)",
    ),
    of=NODES,
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("cgroups",),
    aliases=("SystemVerification",),
)
def cgroup_controllers_missing(context: Context) -> Iterator[Finding]:
    """A kubelet limits and counts what pods use by cgroup controllers; without them it ends, or pods fail to start.

    On a Raspberry Pi and some others the memory controller is switched off when the kernel starts. In a container, and
    for an ordinary user, only those can be used that the outer cgroup hands down. A control plane without a node needs
    none.
    """
    views = {one.root: _whose(one) for one in context.target.all(*NODES)}
    problems = []
    for process, whose in views.items():
        try:
            seen = context.get(host.cgroups, process)
        except FactError as problem:
            problems.append(problem)
            continue
        finding = _judge(seen, whose, process)
        if finding is not None:
            yield finding
    if problems:
        raise problems[0]


def _whose(node: Instance) -> str:
    if node.planned:
        return ""
    return f" for the {node.name} ({f'pid {node.pid}' if node.is_running else 'which does not run'})"


def _judge(seen: host.Cgroups, whose: str, root: int) -> Finding | None:
    if seen.layout is host.CgroupLayout.NONE:
        return Finding(
            message=f"no cgroups are mounted{whose}: no kubelet can work here",
            subject="cgroups",
            evidence=(Evidence(source=MOUNT, observed="no cgroup filesystem", expected="cgroup2"),),
            fixes=(Fix(summary=f"mount cgroup2 on {MOUNT}", link=ARCHITECTURE),),
            explains=("kubelet.not-running",),
        )
    unified = seen.layout is host.CgroupLayout.V2
    needed = NEEDED[host.CgroupLayout.V2 if unified else host.CgroupLayout.V1]
    missing = [name for name in needed if name not in seen.controllers]
    if not missing:
        return None
    return Finding(
        message=f"cgroup controllers are missing{whose}: {'; '.join(_reasons(seen, missing))}",
        subject=f"cgroup {' '.join(missing)}",
        evidence=(
            Evidence(
                source=f"{MOUNT}/cgroup.controllers" if unified else f"mounts of cgroup below {MOUNT}",
                observed=f"{seen.layout.value}: {' '.join(seen.controllers) or 'none'}",
                expected=" ".join(needed),
            ),
        ),
        fixes=tuple(_fixes(seen, missing, root)),
        explains=("kubelet.not-running",),
    )


def _reasons(seen: host.Cgroups, missing: list[str]) -> Iterator[str]:
    """Yield, for each reason, which controllers are missing for it: "memory is disabled at boot"."""
    for reason, names in _sorted(seen, missing).items():
        yield f"{listed(names)} {'is' if len(names) == 1 else 'are'} {reason}"


def _sorted(seen: host.Cgroups, missing: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in missing:
        if name in seen.disabled:
            reason = DISABLED
        elif name in seen.unmounted:
            reason = UNMOUNTED
        elif seen.layout is host.CgroupLayout.V2:
            reason = WITHHELD
        else:
            reason = UNKNOWN
        found.setdefault(reason, []).append(name)
    return found


def _fixes(seen: host.Cgroups, missing: list[str], root: int) -> Iterator[Fix]:
    reasons = _sorted(seen, missing)
    if DISABLED in reasons:
        words = " ".join(f"cgroup_enable={name}" for name in reasons[DISABLED])
        yield Fix(summary=f"add `{words}` to the kernel's command line, or take cgroup_disable= away, and reboot")
    if UNMOUNTED in reasons:
        steps = []
        for name in reasons[UNMOUNTED]:
            directory = f"{MOUNT}/{name}"
            steps += [
                run("mkdir", "-p", directory, within=root),
                run("mount", "-t", "cgroup", "-o", name, "cgroup", directory, undo=("umount", directory), within=root),
            ]
        yield Fix(summary="mount them", safety=Safety.SAFE, steps=tuple(steps))
    if WITHHELD in reasons:
        names = " ".join(reasons[WITHHELD])
        yield Fix(summary=f"have `{names}` handed down: Delegate=yes in systemd's unit, or by the container")
    if UNKNOWN in reasons:
        yield Fix(summary="run a kernel that has them", link=ARCHITECTURE)
