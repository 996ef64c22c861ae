"""Checks of certificates, keys and kubeconfigs."""

from __future__ import annotations

from collections.abc import Iterable

from kubedoctor import Check, hookimpl

__all__ = ["kubedoctor_checks"]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of certificates, keys and kubeconfigs."""
    from kubedoctor_certs.checks import CHECKS

    return CHECKS
