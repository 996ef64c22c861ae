"""A real Kubernetes from native binaries on one machine, and a doctor that names what is wrong with it.

This is the public API for plugin authors. It is lazy (PEP 562): importing the package costs nothing, and a name is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubedoctor.components import (
        Authority,
        Candidate,
        Certificate,
        Component,
        Components,
        Download,
        File,
        FlagValue,
        Found,
        GoBuild,
        Kind,
        Kubeconfig,
        Manifest,
        Port,
        Probe,
        ProbeKind,
        Source,
        Stop,
    )
    from kubedoctor.config import ClusterConfig
    from kubedoctor.errors import KubedoctorError
    from kubedoctor.hookspecs import hookimpl

_HOME = {
    "Authority": "components",
    "Candidate": "components",
    "Certificate": "components",
    "ClusterConfig": "config",
    "Component": "components",
    "Components": "components",
    "Download": "components",
    "File": "components",
    "FlagValue": "components",
    "Found": "components",
    "GoBuild": "components",
    "Kind": "components",
    "Kubeconfig": "components",
    "KubedoctorError": "errors",
    "Manifest": "components",
    "Source": "components",
    "Port": "components",
    "Probe": "components",
    "ProbeKind": "components",
    "Stop": "components",
    "hookimpl": "hookspecs",
}

__all__ = [
    "Authority",
    "Candidate",
    "Certificate",
    "ClusterConfig",
    "Component",
    "Components",
    "Download",
    "File",
    "FlagValue",
    "Found",
    "GoBuild",
    "Kind",
    "Kubeconfig",
    "KubedoctorError",
    "Manifest",
    "Port",
    "Probe",
    "ProbeKind",
    "Source",
    "Stop",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kubedoctor.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
