"""Which logs a cluster has: one a component, and what its keepers say of themselves."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.status import read_plan
from kubedoctor.errors import NotRunning, UsageError

KEEPER = "keeper"
"""The name under which keeper.log is asked for; it is shown only when it is."""


def logs_of(cluster: ClusterPaths) -> dict[str, Path]:
    """Return the path of every log by its component: those of the plan in start order, then those of earlier plans."""
    found: dict[str, Path] = {}
    places = sorted(path.name for path in cluster.places.iterdir()) if cluster.places.is_dir() else []
    for name in places:
        paths = cluster.place(name)
        mark = f"{name}/" if len(places) > 1 else ""
        for component in read_plan(paths).get("components") or ():
            if isinstance(component, dict) and component.get("log"):
                found[f"{mark}{component.get('name')}"] = Path(str(component["log"]))
        for path in sorted(paths.logs.glob("*.log")):
            if path not in found.values():
                found.setdefault(f"{mark}{path.stem}", path)
        found[f"{mark}{KEEPER}"] = paths.keeper_log
    return found


def choose(logs: dict[str, Path], wanted: Sequence[str]) -> dict[str, Path]:
    """Return the logs of the *wanted* components, all but the keeper's when none is named.

    Raise UsageError for a name that no component has, NotRunning when there is no log at all.
    """
    if not any(name.rpartition("/")[2] != KEEPER for name in logs) and KEEPER not in wanted:
        raise NotRunning("nothing has been logged yet", hint="kubedoctor up")
    if not wanted:
        return {name: path for name, path in logs.items() if name.rpartition("/")[2] != KEEPER}
    chosen = {}
    for name in wanted:
        matching = {key: path for key, path in logs.items() if name in (key, key.rpartition("/")[2])}
        if not matching:
            near = difflib.get_close_matches(name, logs, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(logs)}"
            raise UsageError(f"there is no log of `{name}`", hint=hint)
        chosen.update(matching)
    return chosen
