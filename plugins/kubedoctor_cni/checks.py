"""What can be wrong with the network configuration that the runtime loads, and its plugins."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
