"""What can be wrong with the kubelet."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
