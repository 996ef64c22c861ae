"""A real Kubernetes from native binaries on one machine, and a doctor that names what is wrong with it.

This is the public API for plugin authors. It is lazy (PEP 562): importing the package costs nothing, and a name is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubedoctor import host
    from kubedoctor.checks import (
        Check,
        Context,
        Evidence,
        Finding,
        Fix,
        NotApplicable,
        Phase,
        Safety,
        Severity,
        Step,
        StepKind,
        check,
        run,
    )
    from kubedoctor.components import (
        Authority,
        Candidate,
        Certificate,
        Cleanup,
        Component,
        Components,
        Download,
        File,
        FlagValue,
        Found,
        GoBuild,
        Image,
        Kind,
        Kubeconfig,
        Manifest,
        Port,
        Probe,
        ProbeKind,
        Source,
        SourceBuild,
        Stop,
        Trace,
    )
    from kubedoctor.config import ClusterConfig
    from kubedoctor.errors import KubedoctorError
    from kubedoctor.facts import Absent, Denied, Fact, FactError, Look, Malformed, NotRecorded, Silent, fact
    from kubedoctor.hookspecs import hookimpl
    from kubedoctor.node_config import HostRuntime
    from kubedoctor.skew import Mismatch, version_mismatches
    from kubedoctor.targets import Instance, Target, TargetKind

_HOME = {
    "Absent": "facts",
    "Authority": "components",
    "Candidate": "components",
    "Certificate": "components",
    "Check": "checks",
    "Cleanup": "components",
    "ClusterConfig": "config",
    "Component": "components",
    "Components": "components",
    "Context": "checks",
    "Denied": "facts",
    "Download": "components",
    "Evidence": "checks",
    "Fact": "facts",
    "FactError": "facts",
    "File": "components",
    "Finding": "checks",
    "Fix": "checks",
    "FlagValue": "components",
    "Found": "components",
    "GoBuild": "components",
    "HostRuntime": "node_config",
    "Image": "components",
    "Instance": "targets",
    "Kind": "components",
    "Kubeconfig": "components",
    "KubedoctorError": "errors",
    "Look": "facts",
    "Malformed": "facts",
    "Manifest": "components",
    "Mismatch": "skew",
    "NotApplicable": "checks",
    "NotRecorded": "facts",
    "Phase": "checks",
    "Port": "components",
    "Probe": "components",
    "ProbeKind": "components",
    "Safety": "checks",
    "Severity": "checks",
    "Silent": "facts",
    "Source": "components",
    "SourceBuild": "components",
    "Step": "checks",
    "StepKind": "checks",
    "Stop": "components",
    "Target": "targets",
    "TargetKind": "targets",
    "Trace": "components",
    "check": "checks",
    "fact": "facts",
    "hookimpl": "hookspecs",
    "run": "checks",
    "version_mismatches": "skew",
}

__all__ = [
    "Absent",
    "Authority",
    "Candidate",
    "Certificate",
    "Check",
    "Cleanup",
    "ClusterConfig",
    "Component",
    "Components",
    "Context",
    "Denied",
    "Download",
    "Evidence",
    "Fact",
    "FactError",
    "File",
    "Finding",
    "Fix",
    "FlagValue",
    "Found",
    "GoBuild",
    "HostRuntime",
    "Image",
    "Instance",
    "Kind",
    "Kubeconfig",
    "KubedoctorError",
    "Look",
    "Malformed",
    "Manifest",
    "Mismatch",
    "NotApplicable",
    "NotRecorded",
    "Phase",
    "Port",
    "Probe",
    "ProbeKind",
    "Safety",
    "Severity",
    "Silent",
    "Source",
    "SourceBuild",
    "Step",
    "StepKind",
    "Stop",
    "Target",
    "TargetKind",
    "Trace",
    "check",
    "fact",
    "hookimpl",
    "host",
    "run",
    "version_mismatches",
]


def __getattr__(name: str) -> object:
    if name == "host":
        return import_module("kubedoctor.host")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kubedoctor.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
