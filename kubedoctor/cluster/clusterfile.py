"""cluster.json: what outlives every run of a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from kubedoctor.cluster.files import make_directory, read_json, write_atomically
from kubedoctor.cluster.paths import ClusterPaths, clusters
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass

SCHEMA_VERSION = 1

README = """\
This directory belongs to the kubedoctor cluster "{name}": a Kubernetes that runs from native binaries on this machine.

  pki/         its certificate authorities, certificates and keys
  kubeconfig/  admin is for you, the others are for its components
  places/      per place: plan.json (what is to run), state.json (what runs), logs/, data/, config/

  kubedoctor status --name {name}           what runs
  kubedoctor down --name {name}             stop it; data stays
  kubedoctor down --name {name} --delete    stop it and remove this directory
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFile:
    """The record of a cluster: outside ports that are kept, versions its data has seen."""

    name: str
    created: str = ""
    kubedoctor: str = ""  # the version that wrote it
    ports: Mapping[str, int] = field(default_factory=dict)
    data_versions: Mapping[str, str] = field(default_factory=dict)  # component -> newest version that wrote its data
    cert_dir: str = ""
    log_dir: str = ""
    preserve: bool = True  # data outlives `down`
    flags: Mapping[str, Any] = field(default_factory=dict)  # options of `up`, which hold until `down`
    environment: Mapping[str, str] = field(default_factory=dict)  # variables of `up` that were honoured, likewise
    schema_version: int = SCHEMA_VERSION
    kind: str = "Cluster"


def read(paths: ClusterPaths) -> ClusterFile | None:
    """Return the record, None where there is none; raise KubedoctorError when it is newer or broken."""
    try:
        data = read_json(paths.record)
        written_by = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(written_by, int) and written_by > SCHEMA_VERSION:
            raise KubedoctorError(
                f"cluster `{paths.name}` was made by a newer kubedoctor ({data.get('kubedoctor', 'unknown version')})",
                hint="use that one, or start anew with another --name",
            )
        return from_json(ClusterFile, data)
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise KubedoctorError(
            f"{paths.record} cannot be read: {problem}",
            hint=f"only ports that were chosen are lost without it: rm {paths.record}",
        ) from None


def write(paths: ClusterPaths, record: ClusterFile) -> None:
    """Write the record, and the README beside it."""
    write_atomically(paths.record, json.dumps(to_json(record), indent=1) + "\n")
    if not paths.readme.exists():
        write_atomically(paths.readme, README.format(name=paths.name), mode=0o644)


def ports_of_others(name: str) -> frozenset[int]:
    """Return the outside ports that other clusters keep, running or not."""
    ports: set[int] = set()
    for other in clusters():
        if other.name != name:
            try:
                record = read(other)
            except KubedoctorError:
                continue  # its own commands tell; here it only cannot keep its ports
            ports |= set(record.ports.values()) if record else set()
    return frozenset(ports)


def own_version() -> str:
    """Return the version of kubedoctor."""
    from importlib.metadata import PackageNotFoundError, version  # 25 ms that `status` need not pay

    try:
        return version("kubedoctor")
    except PackageNotFoundError:
        return "unknown"


def make_directories(paths: ClusterPaths) -> None:
    """Make the directories of a cluster; raise KubedoctorError that tells which one cannot be made and why.

    Others may pass through the upper ones, as a person who calls sudo needs it to get at the kubeconfig, but not list
    them; what holds keys and data is closed.
    """
    place = paths.place()
    for directory in (paths.directory.parent.parent, paths.directory.parent, paths.directory):
        _make(directory, 0o711)
    for directory in (paths.places, place.directory, place.config, place.logs, place.data):
        _make(directory, 0o700)


def _make(path: Path, mode: int) -> None:
    try:
        make_directory(path, mode=mode)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise KubedoctorError(
            f"cannot use {path}: {reason}", hint="choose another place: export KUBEDOCTOR_HOME=DIR"
        ) from None
