"""Which versions may run together, by Kubernetes' own policy, and which etcd may open which data."""

from __future__ import annotations

from collections.abc import Mapping

from kubedoctor.errors import PlanError
from kubedoctor.skew import APISERVER, POLICY, least_version, version_mismatches
from kubedoctor.versions import Version

__all__ = ["APISERVER", "KUBERNETES", "POLICY", "check_data_version", "check_skew", "skew_problem"]

KUBERNETES = (
    APISERVER, "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "kubeadm",
    "cloud-controller-manager",
)  # fmt: skip
"""The binaries of a Kubernetes release; the first one of these that is wanted settles the version of the others."""


def check_skew(versions: Mapping[str, str]) -> None:
    """Raise PlanError naming the rule when *versions* (of binaries, by name) may not run together.

    Names without a rule, and versions that are empty or not stamped into the binary, are left alone.
    """
    problem = skew_problem(versions)
    if problem:
        message, hint = problem
        raise PlanError(message, hint=hint)


def skew_problem(versions: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what Kubernetes does not allow about *versions*, as message and hint; None when all is allowed."""
    found = next(version_mismatches(versions), None)
    if found is None:
        return None
    if not found.beside:
        return str(found), f"choose {found.name} {least_version(found.name)} or newer with --binary {found.name}=PATH"
    hint = f"choose another {found.name} with --binary {found.name}=PATH, or one version for all with --kubernetes"
    return str(found), f"{hint}\nrules: {POLICY}" if found.beside == APISERVER else f"rules: {POLICY}"


def check_data_version(recorded: str, version: str, *, component: str = "etcd") -> None:
    """Raise PlanError when data last written by *recorded* would be opened by an older *version* of *component*.

    An older etcd starts on newer data and says that it is healthy. Patch releases of one minor version share their
    format; an empty or unknown version on either side tells nothing.
    """
    before, now = Version.parse(recorded), Version.parse(version)
    if before and now and before.stamped and now.stamped and now.line < before.line:
        raise PlanError(
            f"the data was last written by {component} {before}; the older {component} {now} must not open it",
            hint=f"use {component} {before.major}.{before.minor} or newer (--binary {component}=PATH), "
            "or start afresh with `kubedoctor down --delete`",
        )
