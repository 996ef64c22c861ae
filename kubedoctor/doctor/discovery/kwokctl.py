"""What kwokctl's own files say should run: its clusters are directories, in each a kwok.yaml that lists components."""

from __future__ import annotations

import os
from pathlib import Path

from kubedoctor.doctor.discovery.grouping import Cluster
from kubedoctor.doctor.discovery.instances import Found
from kubedoctor.doctor.discovery.layouts import Layout, layout_of
from kubedoctor.doctor.discovery.machine import directory
from kubedoctor.doctor.discovery.recognise import component_name
from kubedoctor.facts import Absent, FactError, Look, fact
from kubedoctor.host import printable, read_file, redacted
from kubedoctor.host.documents import Value, at, parse_document
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance, TargetKind

_LIMIT = 256 << 10
_MOST = 100
"""Clusters of one person that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KwokctlComponent:
    """A component that kwokctl starts, its command line without secrets."""

    name: str
    argv: tuple[str, ...]
    directory: str = ""
    log: str = ""


@fact("targets.kwokctl-components")
def kwokctl_components(look: Look, path: str, root: int) -> tuple[KwokctlComponent, ...]:
    """The components in a kwok.yaml that are processes, not containers; raise Absent, Denied, Malformed."""
    del look
    return parse_kwokctl(read_file(path, root=root, limit=_LIMIT), path)


def parse_kwokctl(content: bytes, path: str) -> tuple[KwokctlComponent, ...]:
    """Return the components that the first document of a kwok.yaml lists; raise Malformed."""
    config = parse_document(content, printable(path))
    listed = at(config, "components")
    found = []
    for one in listed if isinstance(listed, list) else ():
        called, binary = _text(one, "name"), _text(one, "binary")
        if binary and (name := component_name((called,))):
            arguments = at(one, "args")
            words = [text for text in arguments if isinstance(text, str)] if isinstance(arguments, list) else []
            found.append(
                KwokctlComponent(
                    name=name,
                    argv=redacted([binary, *words]),
                    directory=_text(one, "workDir"),
                    log=f"{path.rpartition('/')[0]}/logs/{called}.log",
                )
            )
    return tuple(found)


def _text(value: Value, key: str) -> str:
    found = at(value, key)
    return found if isinstance(found, str) else ""


@fact("targets.kwokctl-clusters")
def kwokctl_clusters(look: Look) -> tuple[str, ...]:
    """The directories of this user's kwokctl clusters that were started and not stopped since."""
    home = os.environ.get("KWOK_WORKDIR") or f"{Path.home()}/.kwok"
    found = []
    for name in look.get(directory, f"{home}/clusters", 0)[:_MOST]:
        try:
            if look.get(directory, f"{home}/clusters/{name}/pids", 0):  # `stop` empties it
                found.append(f"{home}/clusters/{name}")
        except FactError:
            continue  # a cluster of containers has none
    return tuple(found)


def add_what_should_run(look: Look, clusters: list[Cluster]) -> None:
    """Add to kwokctl's clusters what of them does not run; make one of a cluster of which nothing does."""
    seen = set()
    for cluster in clusters:
        layouts = [layout_of(one.instance) for one in cluster.members]
        where = next((one.directory for one in layouts if one and one.kind is TargetKind.KWOKCTL), "")
        if where and cluster.given < 0:
            seen.add(where)
            _add(look, cluster, where, cluster.members[0])
    try:
        started = look.get(kwokctl_clusters)
    except FactError:
        started = ()  # there is no such directory, or it is nothing of ours
    for where in started:
        if where not in seen:
            cluster = Cluster([], layout=Layout(TargetKind.KWOKCTL, where))
            _add(look, cluster, where, None)
            if cluster.members or cluster.notes:
                clusters.append(cluster)


def _add(look: Look, cluster: Cluster, where: str, beside: Found | None) -> None:
    root, net = (beside.instance.root, beside.instance.net) if beside else (0, 0)
    try:
        components = look.get(kwokctl_components, f"{where}/kwok.yaml", root)
    except Absent:
        return
    except FactError as problem:
        cluster.notes.append(f"what should run is not known: {problem.reason}")
        return
    for one in components:
        if not cluster.has(one.name):
            instance = Instance(
                name=one.name,
                source=f"file {where}/kwok.yaml",
                argv=one.argv,
                directory=one.directory,
                root=root,
                net=net,
                log=one.log,
            )
            home, files = (beside.home, beside.files) if beside else ("ours", "ours")
            cluster.members.append(Found(instance=instance, home=home, files=files))
