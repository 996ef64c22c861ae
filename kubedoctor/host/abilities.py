"""What this process and this kernel are able to, for plugins that plan by it. Standard library only."""

from __future__ import annotations

from pathlib import Path

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24}
"""Numbers of linux/capability.h."""


def may(capability: str) -> bool:
    """Return whether this process has the capability in its effective set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAPABILITIES[capability] & 1)
    return False


def has_unified_cgroups() -> bool:
    """Return whether /sys/fs/cgroup is cgroup v2; hybrid counts as v1, which is what kubelet and runc take it for."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def runs_systemd() -> bool:
    """Return whether systemd is pid 1: what containerd's own detection goes by."""
    return Path("/run/systemd/system").is_dir()
