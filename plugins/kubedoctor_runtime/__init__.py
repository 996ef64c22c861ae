"""Checks of the container runtime and runc."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the container runtime and runc."""
    from kubedoctor_runtime.checks import CHECKS

    return CHECKS
