"""A cluster that looks as if it ran: its files are there, its lock is held, its keeper is the test."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any

from kubedoctor.cluster.documents import PlaceStatus, ProcessStatus
from kubedoctor.cluster.identity import boot_id, identify
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.jsonform import to_json


@contextlib.contextmanager
def looks_running(cluster: ClusterPaths, plan: dict[str, Any] | None = None, **fields: Any) -> Iterator[None]:
    """Have `status` say that *cluster* is ready, with *fields* of its PlaceStatus changed."""
    paths = cluster.place()
    paths.directory.mkdir(parents=True, exist_ok=True)
    me = ProcessStatus(pid=os.getpid(), start_ticks=identify(os.getpid()).start_ticks)
    known: dict[str, Any] = {"name": "node-1", "kind": "sandbox", "phase": "ready", "boot_id": boot_id()}
    state = PlaceStatus(**{**known, "keeper": me, "supervisor": me, **fields})
    paths.state.write_text(json.dumps(to_json(state)))
    paths.plan.write_text(json.dumps(plan or {}))
    with paths.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
