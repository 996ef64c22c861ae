"""Checks of certificates, keys and kubeconfigs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubedoctor import Check, Fact, hookimpl

__all__ = ["kubedoctor_checks", "kubedoctor_facts"]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return what of configuration files names certificates and kubeconfigs."""
    from kubedoctor_certs.facts import client_kubeconfig, etcd_files, kubelet_files

    return [client_kubeconfig, etcd_files, kubelet_files]


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return the checks of certificates, keys and kubeconfigs."""
    from kubedoctor_certs.checks import CHECKS

    return CHECKS
