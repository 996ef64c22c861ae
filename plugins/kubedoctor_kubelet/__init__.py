"""Checks of the kubelet."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of the kubelet."""
    from kubedoctor_kubelet.checks import CHECKS

    return CHECKS
