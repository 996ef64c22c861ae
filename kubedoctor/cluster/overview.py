"""All clusters of a user at a glance."""

from __future__ import annotations

from kubedoctor.cluster.paths import clusters
from kubedoctor.cluster.status import look, read_plan
from kubedoctor.records import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSummary:
    """One cluster in `clusters -o json`."""

    name: str
    phase: str
    address: str = ""  # of the API, outside
    kubernetes: str = ""  # version
    since: str = ""  # of the phase
    reason: str = ""  # why it is not ready
    directory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterList:
    """What `clusters -o json` prints."""

    clusters: tuple[ClusterSummary, ...]
    schema_version: int = SCHEMA_VERSION
    kind: str = "ClusterList"


def overview() -> ClusterList:
    """Return every cluster that has a directory, by name; one whose files cannot be read is told with the reason."""
    found = []
    for cluster in clusters():
        status = look(cluster)
        plan = read_plan(cluster.place(status.places[0].name)) if status.places else {}
        found.append(
            ClusterSummary(
                name=cluster.name,
                phase=status.phase,
                address=status.address,
                kubernetes=str(plan.get("kubernetes") or ""),
                since=status.since,
                reason=status.reason,
                directory=str(cluster.directory),
            )
        )
    return ClusterList(clusters=tuple(found))
