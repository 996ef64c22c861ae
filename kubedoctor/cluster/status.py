"""How a cluster is, as its files, its lock and /proc tell: the keeper is not asked, so a hung one is no trouble."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubedoctor.cluster.documents import ComponentStatus, Phase, PlaceStatus, ProcessStatus, State, Status, StatusPlace
from kubedoctor.cluster.files import read_json
from kubedoctor.cluster.identity import ProcessIdentity, boot_id, is_alive
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths, clusters
from kubedoctor.cluster.place import is_held, read_state
from kubedoctor.errors import KubedoctorError, NotRunning
from kubedoctor.jsonform import from_json

INSIDE = "KUBEDOCTOR_INSIDE"
"""Set, to the cluster's name, for what runs in a sandbox by `enter`."""

_KEEPER_ANSWERS = 1.0
"""Seconds a keeper has to tell what it could not write; one that hangs is seen as starting."""
_WORST_FIRST = (Phase.NOT_READY, Phase.STOPPING, Phase.STARTING, Phase.STOPPED, Phase.READY)


def existing(name: str) -> ClusterPaths:
    """Return the paths of a cluster that has a directory; raise NotRunning, naming those that have, for another."""
    cluster = ClusterPaths.of(name)
    if cluster.directory.is_dir():
        return cluster
    others = ", ".join(f"`{other.name}`" for other in clusters())
    option = "" if name == "local" else f" --name {name}"
    raise NotRunning(
        f"there is no cluster `{name}` in {cluster.directory.parent}",
        hint=f"make it: kubedoctor up{option}" + (f"\nor choose with --name: {others}" if others else ""),
    )


def look(cluster: ClusterPaths) -> Status:
    """Return how *cluster* is at this moment; what its files lack or cannot tell is in `reason`, never an exception."""
    try:
        names = sorted(entry.name for entry in os.scandir(cluster.places) if entry.is_dir())
    except FileNotFoundError:
        names = []
    places = [look_at_place(cluster.place(name), name) for name in names]
    if not places:
        places = [PlaceStatus(name="node-1", kind="", phase=Phase.STOPPED, failure="it was never started")]
    worst = min(places, key=lambda place: _WORST_FIRST.index(Phase(place.phase)))
    plan = read_plan(cluster.place(places[0].name))
    components = tuple(component for place in places for component in place.components)
    return Status(
        cluster=cluster.name,
        phase=worst.phase,
        kubeconfig=str(plan.get("kubeconfig") or cluster.directory / "kubeconfig" / "admin"),
        address=_address(plan, components),
        since=worst.since,
        reason=worst.failure,
        places=tuple(
            StatusPlace(name=place.name, kind=place.kind, keeper=place.keeper, supervisor=place.supervisor)
            for place in places
        ),
        components=components,
    )


def look_at_place(paths: PlacePaths, name: str) -> PlaceStatus:
    """Return the recorded state of a place, corrected by what is true: its lock, this boot, the processes recorded."""
    held = is_held(paths)
    try:
        state = read_state(paths)
    except KubedoctorError as problem:
        phase = Phase.NOT_READY if held else Phase.STOPPED
        return PlaceStatus(name=name, kind="", phase=phase, failure=f"{problem.message} ({problem.hint})")
    if state is None and held:
        state = _told_by_keeper(paths)
    if state is None:
        phase, failure = (
            (Phase.STARTING, "its keeper has not begun") if held else (Phase.STOPPED, "it was never started")
        )
        return PlaceStatus(name=name, kind="", phase=phase, failure=failure)
    if state.boot_id != boot_id():
        restarted = "" if state.phase == Phase.STOPPED else "the machine was restarted; `kubedoctor up` resumes"
        return _nothing_runs(state, restarted or state.failure)
    if not held:
        return _without_keeper(state, paths)
    if os.environ.get(INSIDE):  # in the sandbox, pids of outside mean nothing: what is recorded has to do
        return state
    if not _lives(state.keeper):
        return replace(_nothing_runs(state, ""), phase=Phase.STARTING, failure="an `up` is about to start its keeper")
    # A process ends before its keeper has written so: what is missing at first sight is looked up once more.
    if not all(_is_as_recorded(component) for component in state.components):
        state = read_state(paths) or state
    return _with_what_is_missing(state)


def _told_by_keeper(paths: PlacePaths) -> PlaceStatus | None:
    """Return what a keeper says that cannot write its state, as on a full disk; None when it says nothing at once."""
    from kubedoctor.cluster.control import ControlClient

    try:
        with ControlClient(paths.socket, timeout=_KEEPER_ANSWERS) as keeper:
            return from_json(PlaceStatus, keeper.request("status", timeout=_KEEPER_ANSWERS)["place"])
    except (KubedoctorError, ValueError):
        return None


def _without_keeper(state: PlaceStatus, paths: PlacePaths) -> PlaceStatus:
    """Return what is left of a place whose lock is free."""
    if state.phase == Phase.STOPPED:
        return _nothing_runs(state, state.failure)
    left = [component.name for component in state.components if component.pid and _is_as_recorded(component)]
    if left or _lives(state.supervisor):
        names = f" ({', '.join(left)})" if left else ""
        failure = f"its keeper has ended, and processes of it are still ending{names}; `kubedoctor up` waits for them"
        return replace(_with_what_is_missing(state), phase=Phase.NOT_READY, failure=failure, keeper=ProcessStatus())
    return _nothing_runs(state, f"its keeper was ended from outside, see {paths.keeper_log}; `kubedoctor up` resumes")


def _nothing_runs(state: PlaceStatus, failure: str) -> PlaceStatus:
    components = tuple(
        replace(c, state=State.EXITED, ready=False, pid=0, pid_inside=0, start_ticks=0, ready_since="", reason="")
        for c in state.components
    )
    return replace(
        state,
        phase=Phase.STOPPED,
        failure=failure,
        components=components,
        keeper=ProcessStatus(),
        supervisor=ProcessStatus(),
    )


def _with_what_is_missing(state: PlaceStatus) -> PlaceStatus:
    components = tuple(
        component
        if _is_as_recorded(component)
        else replace(component, ready=False, reason=f"process {component.pid} is gone, its keeper has not said so")
        for component in state.components
    )
    gone = [c.name for c, before in zip(components, state.components, strict=True) if c is not before]
    state = replace(state, components=components)
    if state.phase == Phase.READY and gone:
        return replace(state, phase=Phase.NOT_READY, failure=f"{', '.join(gone)}: gone")
    if state.phase == Phase.NOT_READY and not state.failure:
        return replace(state, failure=_why_not_ready(components))
    return state


def _why_not_ready(components: tuple[ComponentStatus, ...]) -> str:
    for component in components:
        if not component.ready and component.state != State.WAITING:
            log_line = component.last_exit.log_line if component.last_exit else ""
            reason = log_line or component.reason
            return f"{component.name}: {reason}" if reason else f"{component.name} is {component.state}"
    return ""


def _is_as_recorded(component: ComponentStatus) -> bool:
    return not component.pid or is_alive(ProcessIdentity(component.pid, component.start_ticks))


def _lives(process: ProcessStatus) -> bool:
    return bool(process.pid) and is_alive(ProcessIdentity(process.pid, process.start_ticks))


def read_plan(paths: PlacePaths) -> Mapping[str, Any]:
    """Return plan.json as it stands, {} when there is none that can be read: `status` tells what it can without."""
    try:
        plan = read_json(paths.plan)
    except (OSError, ValueError):
        return {}
    if not isinstance(plan, dict):
        return {}
    components = plan.get("components")
    known = [c for c in components if isinstance(c, dict)] if isinstance(components, list) else []
    return {**plan, "components": known}


def _address(plan: Mapping[str, Any], components: tuple[ComponentStatus, ...]) -> str:
    """Return the URL at which the API is reached from outside, "" when there is none."""
    api = plan.get("api")
    inside = api.get("port") if isinstance(api, dict) else None
    for port in (port for component in components for port in component.ports if port.inside == inside):
        if port.outside:
            host = f"[{port.outside_address}]" if ":" in port.outside_address else port.outside_address
            return f"https://{host or '127.0.0.1'}:{port.outside}"
        if plan.get("place_kind") == "host" and isinstance(api, dict):
            return f"https://{api.get('address') or '127.0.0.1'}:{port.inside}"
    return ""
