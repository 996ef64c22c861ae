"""Control groups: which version, which controllers, and which of them are handed down. Nothing is created to find out.

Standard library only.
"""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum

from kubedoctor.facts import Absent, Denied, Look, fact
from kubedoctor.host.files import FileKind, read_file, read_text, stat_file
from kubedoctor.host.mountinfo import Mount, mounts, visible
from kubedoctor.host.process import parse_cgroups
from kubedoctor.records import dataclass

MOUNT = "/sys/fs/cgroup"
_V1_CONTROLLERS = frozenset(
    {"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio"}
    | {"perf_event", "pids", "rdma"}
)


class CgroupLayout(StrEnum):
    """How cgroups are mounted."""

    NONE = "none"
    V1 = "v1"
    HYBRID = "hybrid"  # v1 with a v2 tree beside it: v1 to kubelet and runc
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroups:
    """The cgroups a process sees; controllers are sorted.

    `controllers` can be used: v1: they are mounted; v2: they stand in `cgroup.controllers` of the root. `disabled` were
    switched off when the kernel was started. `unmounted` (v1) are there and nobody mounted them. `delegated` (v2) are
    those that the root hands down; `own_controllers` those of the process' own cgroup. Devices and freezer are no
    controllers in v2 and always there; `has_freezer` tells so, None when the process is in the root cgroup.
    """

    layout: CgroupLayout
    mount: str = ""
    controllers: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    unmounted: tuple[str, ...] = ()
    delegated: tuple[str, ...] = ()
    own: str = ""  # below `mount`
    own_controllers: tuple[str, ...] = ()
    has_freezer: bool | None = None
    has_quota: bool | None = None  # the CPU time of a cgroup can be limited
    systemd: bool = False  # systemd is pid 1


@fact("host.cgroups")
def cgroups(look: Look, process: int = 0) -> Cgroups:
    """The cgroup version and controllers, as *process* sees them (0: we)."""
    mounted_there = look.get(mounts, process)
    seen = visible(mounted_there, MOUNT)
    systemd = _is_directory("/run/systemd/system", process)
    disabled, unmounted = _known()
    own = parse_cgroups(read_file(f"/proc/{process or 'self'}/cgroup"))
    unified = next((one for one in reversed(seen) if one.path == MOUNT), None)
    if unified is not None and unified.kind == "cgroup2":
        return _v2(unified, own.get("", ""), disabled, systemd, process)
    mounted = mounted_controllers(seen)
    if not mounted:
        return Cgroups(layout=CgroupLayout.NONE, disabled=disabled, unmounted=unmounted, systemd=systemd)
    hybrid = any(one.kind == "cgroup2" and one.path.startswith(f"{MOUNT}/") for one in seen)
    return Cgroups(
        layout=CgroupLayout.HYBRID if hybrid else CgroupLayout.V1,
        mount=MOUNT,
        controllers=tuple(sorted(mounted)),
        disabled=tuple(name for name in disabled if name not in mounted),
        unmounted=tuple(name for name in unmounted if name not in mounted),
        own=own.get("cpu", ""),
        has_freezer="freezer" in mounted,
        has_quota=_exists(f"{mounted['cpu']}/cpu.cfs_quota_us", process) if "cpu" in mounted else None,
        systemd=systemd,
    )


def mounted_controllers(seen: tuple[Mount, ...]) -> dict[str, str]:
    """Return where each v1 controller is mounted."""
    return {
        name: one.path for one in seen if one.kind == "cgroup" for name in one.super_options if name in _V1_CONTROLLERS
    }


def parse_controllers(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the controllers of /proc/cgroups that were disabled at boot, and those that were not, sorted."""
    disabled: list[str] = []
    enabled: list[str] = []
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#"):
            (disabled if fields[3] == "0" else enabled).append(fields[0])
    return tuple(sorted(disabled)), tuple(sorted(enabled))


def _known() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the disabled controllers and the others; a kernel without v1 has no such file."""
    try:
        return parse_controllers(read_text("/proc/cgroups"))
    except Absent:
        return (), ()


def _v2(root: Mount, path: str, disabled: tuple[str, ...], systemd: bool, process: int) -> Cgroups:
    own = own_path(path, root.root)
    directory = f"{MOUNT}{own}"
    own_controllers: tuple[str, ...] = ()
    freezer = quota = None
    with suppress(Absent, Denied):  # a process of another cgroup namespace may be outside of what it has mounted
        own_controllers = _words(f"{directory}/cgroup.controllers", process)
        if own:
            freezer = _exists(f"{directory}/cgroup.freeze", process)
            quota = _exists(f"{directory}/cpu.max", process) if "cpu" in own_controllers else None
    return Cgroups(
        layout=CgroupLayout.V2,
        mount=MOUNT,
        controllers=_words(f"{MOUNT}/cgroup.controllers", process),
        disabled=disabled,
        delegated=_words(f"{MOUNT}/cgroup.subtree_control", process),
        own=own,
        own_controllers=own_controllers,
        has_freezer=freezer,
        has_quota=quota,
        systemd=systemd,
    )


def own_path(path: str, root: str) -> str:
    """Return where below the mount the cgroup *path* is, when *root* is what is mounted; empty for that itself."""
    prefix = root.rstrip("/")
    if path == prefix or path.startswith(f"{prefix}/"):
        return path[len(prefix) :].rstrip("/")
    return ""


def _words(path: str, process: int) -> tuple[str, ...]:
    return tuple(sorted(read_text(path, root=process).split()))


def _exists(path: str, process: int) -> bool:
    try:
        stat_file(path, root=process, follow=True)
    except Absent:
        return False
    return True


def _is_directory(path: str, process: int) -> bool:
    try:
        return stat_file(path, root=process, follow=True).kind is FileKind.DIRECTORY
    except Absent:
        return False
