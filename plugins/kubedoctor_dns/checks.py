"""What can be wrong with name resolution, of the machine and of the cluster."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
