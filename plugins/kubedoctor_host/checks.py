"""What can be wrong with the kernel, cgroups, disks and memory of the machine."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
