"""What commands that reach a cluster begin with: it has to be there, and it has to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubedoctor.errors import NotRunning

if TYPE_CHECKING:
    from kubedoctor.cluster.documents import Status
    from kubedoctor.cluster.paths import ClusterPaths


def running(name: str) -> tuple[ClusterPaths, Status]:
    """Return a cluster's paths and how it is; raise NotRunning, with what starts it, when it does not run."""
    from kubedoctor.cluster.documents import Phase
    from kubedoctor.cluster.status import existing, look

    cluster = existing(name)
    status = look(cluster)
    if status.phase == Phase.STOPPED:
        raise not_running(name, status.reason)
    return cluster, status


def not_running(name: str, reason: str = "") -> NotRunning:
    """Return the error for a cluster that does not run."""
    option = "" if name == "local" else f" --name {name}"
    return NotRunning(
        f"cluster `{name}` does not run" + (f": {reason}" if reason else ""), hint=f"start it: kubedoctor up{option}"
    )
