"""What can be wrong with kube-proxy and the rules of services."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
