"""Checks of kube-proxy and the rules of services."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of kube-proxy and the rules of services."""
    from kubedoctor_proxy.checks import CHECKS

    return CHECKS
