"""The sandbox: what its pid 1 does to become a machine of its own. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from kubedoctor.cluster import kernel, network, private
from kubedoctor.cluster.documents import Plan
from kubedoctor.records import dataclass

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class SandboxStep(Exception):  # noqa: N818 - names the step that failed
    """A step that the kernel refused, with what it is needed for."""

    step: str
    problem: OSError

    def __str__(self) -> str:
        return f"cannot {self.step}: {self.problem.strerror or self.problem}"


def namespaces(*, privileged: bool) -> int:
    """Return the clone flags of a sandbox; an ordinary user gets a user namespace too, which owns the others."""
    own = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    return own if privileged else own | kernel.CLONE_NEWUSER


def refusal() -> str:
    """Return why an ordinary user gets no sandbox on this machine, "" when one can be made.

    It is tried, since no setting tells for sure: user namespaces can be off, limited, or without any right inside.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        pid, pidfd = kernel.clone(namespaces(privileged=False))
    except OSError as problem:
        os.close(told)
        os.close(tell)
        return _why_no_user_namespace(problem)
    if pid == 0:
        try:
            os.read(told, 1)  # until the user map is there
            _make_mounts_private()
            _mount_proc()
            network.set_up("198.18.0.1")
            os._exit(0)
        except OSError as problem:
            os._exit(problem.errno or 1)
    try:
        kernel.map_user(pid)
        os.write(tell, b"\0")
        status = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except OSError as problem:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        return f"mapping users: {problem.strerror}"
    finally:
        for descriptor in (told, tell, pidfd):
            os.close(descriptor)
    if status and status.si_status:  # AppArmor lets it be made, without any right inside
        return _forbidding_setting() or f"in a user namespace: {os.strerror(status.si_status)}"
    return ""


def _why_no_user_namespace(problem: OSError) -> str:
    """Return what forbids user namespaces, by the name of the setting an administrator would look at."""
    if problem.errno == errno.ENOSPC:  # what the kernel says at the limit, 0 included, and 32 levels deep
        limit = Path("/proc/sys/user/max_user_namespaces").read_text().strip()
        allow = f": {_allowing('user.max_user_namespaces', 15000)}" if limit == "0" else ""
        return f"user.max_user_namespaces={limit}{allow}"
    return _forbidding_setting() or f"user namespaces: {problem.strerror}"


def _forbidding_setting() -> str:
    """Return the setting of Debian's or Ubuntu's kernel that keeps ordinary users from it, "" when there is none."""
    for name in ("kernel/unprivileged_userns_clone", "kernel/apparmor_restrict_unprivileged_userns"):
        with contextlib.suppress(OSError):
            value = Path("/proc/sys", name).read_text().strip()
            if (name.endswith("clone"), value) in ((True, "0"), (False, "1")):
                setting = name.replace("/", ".")
                return f"{setting}={value}: {_allowing(setting, 1 - int(value))}"
    return ""


def _allowing(setting: str, value: int) -> str:
    """Return what an administrator sets, until the next boot; `kubedoctor setup` sets it for good."""
    return f"sysctl -w {setting}={value}"


def set_up(plan: Plan) -> None:
    """Turn fresh namespaces into the machine of *plan*; raise SandboxStep when the kernel refuses something.

    The file system is the host's, at the same paths, so that whatever path the user gave is there too; only what tells
    of the machine itself is fresh: /proc, /sys, /dev/shm, the network, the host name.
    """
    for step, act in (
        ("make mounts private", _make_mounts_private),
        ("mount /proc", _mount_proc),
        ("set up the network", lambda: network.set_up(plan.address)),
        ("mount /sys", _mount_sys),
        ("mount /dev/shm", _mount_shm),
        ("make directories of its own", lambda: private.cover(plan.private)),
        ("keep the machine's settings", lambda: _keep_settings(plan)),
        ("write /etc/hosts", lambda: _name_hosts(plan)),
        ("set the host name", lambda: socket.sethostname(plan.cluster)),
        ("share mounts inside", _share_mounts),
    ):
        take(step, act)


def take(step: str, act: Callable[[], object]) -> None:
    """Take a step; raise SandboxStep, which names it, when the kernel refuses it."""
    try:
        act()
    except OSError as problem:
        raise SandboxStep(step, problem) from problem


def _make_mounts_private() -> None:
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)


def _mount_proc() -> None:
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _mount_sys() -> None:
    """Mount a /sys that shows this network's interfaces, with the host's cgroup mounts put back into it."""
    cgroups = kernel.DetachedTree(str(_CGROUPS)) if _CGROUPS.is_dir() else None
    kernel.mount("sysfs", "/sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    if cgroups is not None:
        cgroups.attach()


def _mount_shm() -> None:
    if Path("/dev/shm").is_dir():  # noqa: S108 - a mount point
        kernel.mount("shm", "/dev/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")  # noqa: S108


SHARED_SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What a kubelet sets that is not namespaced (bring-up.md, section 2): it would change the machine, and stay."""


def _keep_settings(plan: Plan) -> None:
    """Let what a kubelet sets end in a file of the sandbox's own, which shows the machine's value until then."""
    if not plan.node:
        return
    own = Path(plan.directory) / "config" / "sysctl"
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in SHARED_SETTINGS:
        setting = Path("/proc/sys", name)
        with contextlib.suppress(FileNotFoundError):
            file = own / name.replace("/", ".")
            file.write_bytes(setting.read_bytes())
            kernel.mount(str(file), str(setting), flags=kernel.MS_BIND)


def _share_mounts() -> None:
    """Let mounts made inside propagate inside, as kubelet and runc need it; the host's table is out of reach by now."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_SHARED)


def _name_hosts(plan: Plan) -> None:
    """Give the names of `--reach` their addresses, in a hosts file that only the inside sees."""
    hosts = Path("/etc/hosts")
    names = [reach for reach in plan.reach if reach.name]
    if not names or not hosts.exists():
        return
    own = Path(plan.directory) / "config" / "hosts"
    lines = [hosts.read_text(errors="replace").rstrip("\n")]
    lines += [f"{reach.address} {reach.name}" for reach in names]
    own.write_text("\n".join(lines) + "\n")
    own.chmod(0o644)
    kernel.mount(str(own), str(hosts), flags=kernel.MS_BIND)


def close_other_descriptors(keep: set[int]) -> None:
    """Close all descriptors but *keep* and the standard ones: no lock or socket of the parent may live on here."""
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - numbers, not paths
        if descriptor > 2 and descriptor not in keep:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(descriptor)
