"""Checks of the network configuration that the runtime loads, and its plugins."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the network configuration that the runtime loads, and its plugins."""
    from kubedoctor_cni.checks import CHECKS

    return CHECKS
