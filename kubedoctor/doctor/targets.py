"""What is looked at: this machine first, then our clusters, then every other cluster that runs or should run on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kubedoctor.doctor.discovery import kubeadm, kwokctl, services
from kubedoctor.doctor.discovery.described import describe
from kubedoctor.doctor.discovery.given_api import with_api
from kubedoctor.doctor.discovery.grouping import Cluster, is_docker, put_together
from kubedoctor.doctor.discovery.instances import Found, Surroundings, find, updated
from kubedoctor.doctor.discovery.machine import machine_title
from kubedoctor.doctor.discovery.sharing import hides_processes
from kubedoctor.facts import FactError, Look
from kubedoctor.host import Process, printable, processes
from kubedoctor.targets import Instance, Target, TargetKind

MACHINE = Target(id="machine", kind=TargetKind.MACHINE, title="this machine")


def discover(look: Look, ours: Sequence[Target] = ()) -> tuple[Target, ...]:
    """Return the targets: the machine, our own clusters in their order, others by kind and id, APIs known by a file.

    *ours* is what the caller knows: the machine with what `up` would start there, clusters of ours with what runs and
    should run in them, APIs by their kubeconfig. What we may not see is in the targets' notes; nothing is raised.
    """
    machine = next((one for one in ours if one.kind is TargetKind.MACHINE), MACHINE)
    machine = replace(machine, id=MACHINE.id, title=_title(look, machine))
    known = [one for one in ours if one.kind not in (TargetKind.MACHINE, TargetKind.API)]
    try:
        everyone = {process.pid: process for process in look.get(processes)}
    except FactError as problem:
        note = f"what runs here is not known: {problem.reason}"
        return (replace(machine, notes=(*machine.notes, note), unseen=True), *known, *_apis(ours))
    known = [_as_it_runs(one, everyone) for one in known]
    clusters = _clusters(look, known, everyone)
    machine = replace(machine, notes=(*machine.notes, *_unseen(look), *_docker(clusters)))
    found = [describe(look, cluster) for cluster in clusters if cluster.given < 0 and not is_docker(cluster)]
    found.sort(
        key=lambda one: (list(TargetKind).index(one.kind), one.id, [instance.argv for instance in one.instances])
    )
    told = [_joined(known[cluster.given], cluster) for cluster in clusters if cluster.given >= 0]
    return unique((machine, *with_api(look, (*told, *found), _apis(ours))))


def _apis(ours: Sequence[Target]) -> list[Target]:
    return [one for one in ours if one.kind is TargetKind.API]


def _title(look: Look, machine: Target) -> str:
    try:
        return look.get(machine_title)
    except FactError:
        return machine.title


def _unseen(look: Look) -> list[str]:
    """Return what of this machine is hidden from us as a whole."""
    try:
        hidden = os.geteuid() != 0 and look.get(hides_processes)
    except FactError:
        hidden = False
    return ["needs root to see clusters of other users: /proc is mounted with hidepid"] if hidden else []


def _docker(clusters: Sequence[Cluster]) -> list[str]:
    return ["Docker runs here without a kubelet: it is not looked at"] if any(map(is_docker, clusters)) else []


# --- clusters of ours -------------------------------------------------------------------------------------------------


def _as_it_runs(target: Target, everyone: Mapping[int, Process]) -> Target:
    """Return a cluster of ours with what its processes say of themselves, which counts more than its files."""
    instances = (updated(one, everyone.get(one.pid)) if one.pid else one for one in target.instances)
    return replace(target, instances=tuple(instances))


def _clusters(look: Look, known: Sequence[Target], everyone: Mapping[int, Process]) -> list[Cluster]:
    pids = frozenset(one.pid for target in known for one in target.instances if one.pid)
    found = find(look, known=pids)
    surroundings = Surroundings(look, ())
    given = [[_given(one, target, everyone, surroundings) for one in target.instances] for target in known]
    notes: dict[int, list[str]] = {}
    found = tuple(
        services.with_settings(look, one, notes.setdefault(one.instance.pid, [])) if one.instance.name == "k3s" else one
        for one in found
    )
    clusters = put_together(look, found, given)
    for cluster in clusters:
        cluster.notes += [
            note for one in cluster.members for note in notes.get(one.instance.pid, ()) if one.instance.pid
        ]
    for part in (kubeadm, kwokctl, services):
        part.add_what_should_run(look, clusters)
    return clusters


def _given(instance: Instance, target: Target, everyone: Mapping[int, Process], surroundings: Surroundings) -> Found:
    process = everyone.get(instance.net or instance.pid)
    home = surroundings.home(process) if process else f"cluster {target.id}"
    files = surroundings.files(process) if process else home
    return Found(instance=instance, home=home, files=files)


def _joined(target: Target, cluster: Cluster) -> Target:
    """Return a cluster of ours with what else runs in its network and belongs to it."""
    own = {one.pid for one in target.instances if one.pid}
    others = (one.instance for one in cluster.members if one.instance not in target.instances)
    more = tuple(one for one in others if one.pid not in own)
    notes = dict.fromkeys([*target.notes, *cluster.notes])
    return replace(target, instances=(*target.instances, *more), notes=tuple(notes))


# --- ids --------------------------------------------------------------------------------------------------------------


def unique(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return *targets* with ids that are each the only one, the same in every run as long as the same things run.

    The machine and clusters of ours keep theirs as long as they differ; others get the name of their node, or a number.
    """
    found = list(targets)
    for name, count in Counter(one.id for one in targets).items():
        twins = [place for place, one in enumerate(found) if one.id == name]
        if count == 1 or any(found[place].kind in (TargetKind.MACHINE, TargetKind.KUBEDOCTOR) for place in twins):
            continue
        for place, node in zip(twins, _nodes([found[place] for place in twins]), strict=True):
            found[place] = replace(found[place], id=f"{name} {node}")
    taken: set[str] = set()
    for place, one in enumerate(found):
        numbers = (f"{one.id} #{number}" for number in range(2, len(found) + 2))
        found[place] = replace(one, id=next(name for name in (one.id, *numbers) if name not in taken))
        taken.add(found[place].id)
    return tuple(found)


def _nodes(twins: Sequence[Target]) -> list[str]:
    """Return a name for the node of each: what their components are told, if that tells them apart, else a number."""
    for component, flag in (
        ("kubelet", "hostname-override"),
        ("etcd", "name"),
        ("kube-apiserver", "advertise-address"),
    ):
        names = [printable(one.flag(flag)) if (one := twin.first(component)) else "" for twin in twins]
        if all(names) and len(set(names)) == len(twins):
            return names
    return [f"#{number}" for number in range(1, len(twins) + 1)]
