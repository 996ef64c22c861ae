"""The record of what was there before a cluster started on the host. Standard library only: the keeper asks for it."""

from __future__ import annotations

import json
from pathlib import Path

from kubedoctor.cluster.files import read_json, write_atomically
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """One trace (see `kubedoctor.Cleanup`), and what was there of it: `was_there` for one thing, `there` for many."""

    trace: str
    name: str
    value: str = ""
    was_there: bool = False
    there: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What was there before, in one place, by a boot of the machine."""

    boot_id: str
    cgroup: str = ""  # that pods of this place run below; "" when nothing tells them by it
    traces: tuple[Before, ...] = ()
    schema_version: int = SCHEMA_VERSION


def path_of(place: PlacePaths) -> Path:
    """Return where the record of a place is."""
    return place.directory / "host.json"


def has_record(place: PlacePaths) -> bool:
    """Return whether something may be left of this place on the host."""
    return path_of(place).exists()


def read(place: PlacePaths) -> HostRecord | None:
    """Return the record, None when there is none; raise KubedoctorError when it cannot be read."""
    path = path_of(place)
    try:
        return from_json(HostRecord, read_json(path))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise KubedoctorError(
            f"{path} cannot be read: {problem}",
            hint="it tells what the cluster may have left on this machine; look for yourself, then remove it",
        ) from None


def write(place: PlacePaths, record: HostRecord) -> None:
    """Write the record: before anything it speaks of is made."""
    write_atomically(path_of(place), json.dumps(to_json(record), indent=1) + "\n")


def remove(place: PlacePaths) -> None:
    """Remove the record: nothing of what it speaks of is left."""
    path_of(place).unlink(missing_ok=True)
