"""Components as the doctor finds them, made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubedoctor import Check, Instance, Target, TargetKind
from kubedoctor.doctor.documents import Result
from kubedoctor.host.owner import Owner
from kubedoctor.host.sockets import Listener
from kubedoctor.testing import examine_recording

NOW = 1_800_000_000.0
RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
CHECKOUT = f"{Path(__file__).resolve().parents[2]}/".encode()
"""Stands in no recording: whoever makes one runs the tests in this very place."""


def running(name: str, *flags: str, pid: int = 100, **fields: Any) -> Instance:
    """Return a component that has run for an hour."""
    known = {"started": NOW - 3600, "state": "S", "directory": "/work", "net": 0, "root": 0}
    return Instance(name=name, source=f"process {pid}", pid=pid, argv=(name, *flags), **{**known, **fields})


def absent(name: str, *flags: str, **fields: Any) -> Instance:
    """Return a component that should run and does not."""
    return Instance(name=name, source="plan of cluster local", argv=(name, *flags), **fields)


def planned(name: str, *flags: str, **fields: Any) -> Instance:
    """Return a component that `up` would start."""
    return Instance(name=name, source="what `up` would start", argv=(name, *flags), planned=True, **fields)


def cluster(*instances: Instance, kubeconfig: str = "") -> Target:
    return Target(
        id="local", kind=TargetKind.KUBEDOCTOR, title="cluster local", instances=instances, kubeconfig=kubeconfig
    )


def machine(*instances: Instance) -> Target:
    return Target(id="machine", kind=TargetKind.MACHINE, title="this machine", instances=instances)


def listener(port: int, address: str = "127.0.0.1", **owner: Any) -> Listener:
    """Return a socket that somebody else listens on."""
    known = {"pid": 7, "name": "nc", "argv": ("nc", "-l"), "uid": 0, "user": "root", "started": NOW - 120}
    return Listener(
        protocol="tcp",
        address=address,
        port=port,
        inode=1,
        uid=0,
        owner=Owner(port=port, address=address, **{**known, **owner}),
    )


def recorded(check: Check, name: str = "") -> Result:
    """Return what a check finds in the recording of its fault, the worst of all targets."""
    report = examine_recording(RECORDINGS / f"{name or check.id}.json.gz", check)
    order = ("failed", "crashed", "timed-out", "unknown", "passed", "skipped", "not-applicable")
    return min((one for one in report.results if one.check == check.id), key=lambda one: order.index(one.outcome))


def messages(result: Result) -> list[str]:
    return [finding.message for finding in result.findings]
