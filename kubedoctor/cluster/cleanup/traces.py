"""Each kind of trace: what is there of it now, what of that has come since, and how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kubedoctor.cluster.cleanup import chains, counters, files, machine, pods, tables
from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.components import Cleanup, Trace
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of trace is looked at, told of, and cleared."""

    look: Callable[[Cleanup], Before]
    tell: Callable[[Before, HostRecord], list[str]]  # a line for each thing that would go
    clear: Callable[[Before, HostRecord], None]  # raises KubedoctorError or OSError for what does not go


KINDS: Mapping[Trace, Kind] = {
    Trace.PODS: Kind(pods.look, pods.tell, pods.clear),
    Trace.IMAGE: Kind(pods.look_at_image, pods.tell_image, pods.clear_image),
    Trace.MOUNTS: Kind(machine.look_at_mounts, machine.tell_mounts, machine.clear_mounts),
    Trace.CHAINS: Kind(chains.look, chains.tell, chains.clear),
    Trace.COUNTER: Kind(counters.look, counters.tell, counters.clear),
    Trace.TABLE: Kind(tables.look, tables.tell, tables.clear),
    Trace.BRIDGE: Kind(machine.look_at_bridges, machine.tell_bridges, machine.clear_bridges),
    Trace.CGROUP: Kind(machine.look_at_cgroups, machine.tell_cgroups, machine.clear_cgroups),
    Trace.DIRECTORY: Kind(files.look_at_directory, files.tell_directory, files.clear_directory),
    Trace.EMPTY: Kind(files.look_at_empty, files.tell_empty, files.clear_empty),
    Trace.FILE: Kind(files.look_at_file, files.tell_file, files.clear_file),
    Trace.RESERVATIONS: Kind(files.look_at_reservations, files.tell_reservations, files.clear_reservations),
    Trace.SETTING: Kind(machine.look_at_setting, machine.tell_setting, machine.clear_setting),
}


def look(cleanup: Cleanup) -> Before:
    """Return what is there now of what a component leaves."""
    return KINDS[cleanup.trace].look(cleanup)


def tell(one: Before, record: HostRecord) -> list[str]:
    """Return a line for each thing that would be removed."""
    return KINDS[Trace(one.trace)].tell(one, record)


def clear_one(one: Before, record: HostRecord) -> None:
    """Remove what has come of one trace; raise KubedoctorError or OSError when something of it stays."""
    KINDS[Trace(one.trace)].clear(one, record)
