"""Checks of name resolution, of the machine and of the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of name resolution, of the machine and of the cluster."""
    from kubedoctor_dns.checks import CHECKS

    return CHECKS
