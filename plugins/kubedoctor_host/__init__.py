"""Checks of the kernel, cgroups, disks and memory of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, Fact, hookimpl

__all__ = ["kubedoctor_checks", "kubedoctor_facts"]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return what configuration files say about swap, eviction and where data is kept."""
    from kubedoctor_host.facts import FACTS

    return FACTS


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the kernel, cgroups, disks and memory of the machine."""
    from kubedoctor_host.checks import CHECKS

    return CHECKS
