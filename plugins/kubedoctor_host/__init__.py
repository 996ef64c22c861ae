"""Checks of the kernel, cgroups, disks and memory of the machine."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the kernel, cgroups, disks and memory of the machine."""
    from kubedoctor_host.checks import CHECKS

    return CHECKS
