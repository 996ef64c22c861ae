"""What can be wrong with the kernel, cgroups, disks and memory of the machine."""

from __future__ import annotations

from kubedoctor import Check
from kubedoctor_host.cgroups import cgroup_controllers_missing
from kubedoctor_host.disk import disk_full
from kubedoctor_host.swap import swap

CHECKS: tuple[Check, ...] = (cgroup_controllers_missing, disk_full, swap)
