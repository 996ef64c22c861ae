"""Our clusters, read from their directories, as the doctor's targets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime

from kubedoctor.cli.outside import as_seen_outside
from kubedoctor.cluster.documents import ComponentStatus, Phase, Plan, PlannedComponent, State, Status, StatusPlace
from kubedoctor.cluster.identity import ProcessIdentity, is_alive, process_state
from kubedoctor.cluster.paths import ClusterPaths, clusters
from kubedoctor.cluster.place import read_state
from kubedoctor.cluster.settling import read_plan
from kubedoctor.cluster.status import INSIDE, look
from kubedoctor.errors import KubedoctorError
from kubedoctor.host import redacted
from kubedoctor.host.process import parse_environment
from kubedoctor.targets import Instance, Target, TargetKind

_ENDED_BY_ITSELF = "the supervisor ended by"
"""How the record begins of a place that ended without having been asked to."""


def own_clusters(notes: list[str]) -> list[Target]:
    """Return our clusters that run or should run, by name; what cannot be looked at is told in *notes*."""
    try:
        listed = clusters()
    except OSError as problem:
        notes.append(f"our own clusters are not seen: {problem.filename}: {problem.strerror}")
        return []
    found = []
    for cluster in listed:
        try:
            target = _target(cluster)
        except (OSError, KubedoctorError) as problem:
            reason = problem.message if isinstance(problem, KubedoctorError) else problem.strerror or str(problem)
            notes.append(f"cluster {cluster.name} is not looked at: {reason}")
            continue
        if target is not None:
            found.append(target)
    return found


def _target(cluster: ClusterPaths) -> Target | None:
    """Return the cluster as a target, None when it was brought down, or never up."""
    status = look(cluster)
    runs = status.phase != Phase.STOPPED
    if not runs and not _should_run(cluster, status):
        return None
    notes = [] if runs else [f"cluster {cluster.name} does not run: {status.reason}"]
    plans = _plans(cluster, status, notes)
    instances = [
        instance
        for place in status.places
        for instance in _instances(cluster, status, place, plans.get(place.name), runs=runs, notes=notes)
    ]
    has_api = any(plan.api is not None for plan in plans.values())  # `--only etcd` has a kubeconfig that leads nowhere
    kubeconfig = status.kubeconfig if has_api and os.access(status.kubeconfig, os.R_OK) else ""
    return Target(
        id=cluster.name,
        kind=TargetKind.KUBEDOCTOR,
        title=_title(cluster, status, plans),
        instances=tuple(instances),
        kubeconfig=kubeconfig,
        directory=str(cluster.directory),
        notes=tuple(notes),
    )


def _should_run(cluster: ClusterPaths, status: Status) -> bool:
    """Return whether a cluster that does not run was up when its keeper or the machine ended: nobody brought it down.

    One whose `up` failed was brought down by that `up`.
    """
    for place in status.places:
        recorded = read_state(cluster.place(place.name))
        if recorded and (recorded.phase != Phase.STOPPED or recorded.failure.startswith(_ENDED_BY_ITSELF)):
            return True
    return False


def _plans(cluster: ClusterPaths, status: Status, notes: list[str]) -> dict[str, Plan]:
    plans = {}
    for place in status.places:
        try:
            plans[place.name] = read_plan(cluster.place(place.name))
        except KubedoctorError as problem:
            notes.append(f"the command lines of cluster {cluster.name} are not known: {problem.message}")
    return plans


def _title(cluster: ClusterPaths, status: Status, plans: Mapping[str, Plan]) -> str:
    plan = next(iter(plans.values()), None)
    parts = [f"cluster {cluster.name}"]
    if plan is not None:
        parts += [f"kubernetes {plan.kubernetes}"] if plan.kubernetes else []
        parts.append("on this host" if plan.place_kind == "host" else "in a sandbox")
    return ", ".join(parts) + (", does not run" if status.phase == Phase.STOPPED else "")


# --- components -------------------------------------------------------------------------------------------------------


def _instances(
    cluster: ClusterPaths, status: Status, place: StatusPlace, plan: Plan | None, *, runs: bool, notes: list[str]
) -> Iterator[Instance]:
    planned = {one.name: one for one in plan.components} if plan else {}
    passing = {name for name, one in planned.items() if one.ends}  # does its work and is gone: not missing
    inside = os.environ.get(INSIDE) == cluster.name
    sandboxed = place.kind == "sandbox" and not inside
    entered = place.supervisor.pid if runs and sandboxed else 0
    recorded = [one for one in status.components if one.place == place.name]
    for one in recorded:
        if one.name in passing:
            continue
        if runs and one.state == State.EXITED:
            notes.append(f"{one.name} does not run: somebody has stopped it")
            continue
        yield _instance(cluster, one, planned.get(one.name), entered, inside=inside, outside=sandboxed and not runs)
    for name in planned.keys() - passing - {one.name for one in recorded}:
        argv = _argv(planned[name], outside=sandboxed and not runs)
        source = f"plan of cluster {cluster.name}"
        yield Instance(name=name, source=source, argv=argv, root=entered, net=entered, log=planned[name].log)


def _instance(
    cluster: ClusterPaths,
    recorded: ComponentStatus,
    planned: PlannedComponent | None,
    entered: int,
    *,
    inside: bool,
    outside: bool,
) -> Instance:
    """Return the component; *entered* is a process of its sandbox, *inside* tells that we are in there ourselves."""
    pid = recorded.pid_inside if inside else recorded.pid
    if pid and not inside and not is_alive(ProcessIdentity(recorded.pid, recorded.start_ticks)):
        pid = 0
    return Instance(
        name=recorded.name,
        source=f"process {pid}" if pid else f"plan of cluster {cluster.name}",
        pid=pid,
        argv=_argv(planned, outside=outside) if planned else (),
        environment=relevant(planned.env) if planned else {},
        executable=recorded.binary,
        directory=str(cluster.place(recorded.place).directory) if pid else "",
        uid=cluster.directory.stat().st_uid if pid else -1,
        started=_seconds(recorded.started) if pid else 0.0,
        state=process_state(pid) if pid else "",
        root=entered,
        net=entered,
        log=recorded.log,
    )


def _argv(planned: PlannedComponent, *, outside: bool) -> tuple[str, ...]:
    return redacted(as_seen_outside(planned.argv, planned.ports) if outside else planned.argv)


def relevant(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables that change what a component does, without secrets."""
    return parse_environment("\0".join(f"{name}={value}" for name, value in environment.items()).encode())


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
