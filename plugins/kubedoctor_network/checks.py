"""What can be wrong with routes and interfaces."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
