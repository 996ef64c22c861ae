"""What can be wrong with the container runtime and runc."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
