"""What can be wrong with certificates, keys and kubeconfigs."""

from __future__ import annotations

from kubedoctor import Check

CHECKS: tuple[Check, ...] = ()
