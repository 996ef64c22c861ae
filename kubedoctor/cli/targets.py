"""What the doctor is told of: what `up` would start here, our clusters on disk, an API somebody named.

Only the command line sees both halves: clusters are the cluster half's, targets the doctor's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cli.outside import as_seen_outside
from kubedoctor.cli.own_clusters import own_clusters, relevant
from kubedoctor.cluster import clusterfile
from kubedoctor.cluster.plan import components, private_directories
from kubedoctor.cluster.planning.flags import arguments
from kubedoctor.cluster.planning.ports import planned_ports
from kubedoctor.cluster.settling import Session, settle
from kubedoctor.components import Kind
from kubedoctor.config import PlaceKind
from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.host import redacted
from kubedoctor.host.files import LIMIT
from kubedoctor.regular import open_regular
from kubedoctor.targets import Instance, Target, TargetKind

if TYPE_CHECKING:
    from kubedoctor.components import Component
    from kubedoctor.plugins import Manager


MACHINE = Target(id="machine", kind=TargetKind.MACHINE, title="this machine")


def known_targets(
    manager: Manager, *, flags: Mapping[str, object], environment: Mapping[str, str], kubeconfig: str = ""
) -> tuple[Target, ...]:
    """Return the machine with what `up` with *flags* would start, our clusters, and the API of *kubeconfig*.

    Our clusters are those that run, or should: one that was brought down is none. Raise KubedoctorError for *flags*
    that cannot be, and for a kubeconfig that cannot be read; without flags, what is wrong is noted on the machine.
    """
    notes: list[str] = []
    found = own_clusters(notes)
    planned: tuple[Instance, ...] = ()
    try:
        planned = _planned(manager, flags, environment, found)
    except KubedoctorError as problem:
        if flags:
            raise
        notes.append(f"what `up` would start is not known: {problem.message}")
    except OSError as problem:
        notes.append(f"what `up` would start is not known: {problem.filename}: {problem.strerror}")
    return (
        replace(MACHINE, instances=planned, notes=tuple(notes)),
        *found,
        *([_api(kubeconfig)] if kubeconfig else []),
    )


def _planned(
    manager: Manager, flags: Mapping[str, object], environment: Mapping[str, str], found: Sequence[Target]
) -> tuple[Instance, ...]:
    """Return what would be started, nothing when that cluster runs already; no binary is looked for."""
    settled = settle(flags, environment)
    if any(one.id == settled.config.name and any(i.is_running for i in one.instances) for one in found):
        return ()
    return _instances(settled, manager)


def planned_machine(settled: Session, manager: Manager) -> Target:
    """Return the machine with what `up` would start; raise KubedoctorError for wishes that cannot be."""
    return replace(MACHINE, instances=_instances(settled, manager))


def _instances(settled: Session, manager: Manager) -> tuple[Instance, ...]:
    config = settled.config
    record = clusterfile.read(settled.paths)
    bound = record.ports if record else {}
    wanted = components(config, manager, layers=settled.resolved.origins)
    instances = []
    for one in wanted.components.values():
        if one.ends:
            continue  # such as one that imports images: nothing that listens or stays
        argv = _argv(one)
        if config.place_kind is PlaceKind.SANDBOX:
            argv = as_seen_outside(argv, planned_ports(config, one, bound))
        instances.append(
            Instance(
                name=one.name,
                source="what `up` would start",
                argv=redacted(argv),
                environment=relevant(one.env),
                log=config.log(f"{one.name}.log"),
                planned=True,
                files={config.file(file.name): file.content for file in one.files if one.kind is Kind.NODE},
                moved={own.path: own.source for own in private_directories(config, (one,)) if own.source},
            )
        )
    return tuple(instances)


def _argv(component: Component) -> tuple[str, ...]:
    given = {flag: value for flag, value in component.flags.items() if value is not None}
    return (component.binary, *component.arguments, *arguments(given))


def _api(kubeconfig: str) -> Target:
    path = Path(kubeconfig).expanduser().absolute()
    try:
        open_regular(path, largest=LIMIT).close()
    except (OSError, ValueError) as problem:  # ValueError: a NUL character in the name
        reason = getattr(problem, "strerror", None) or problem
        raise UsageError(
            f"--kubeconfig: cannot read {path}: {reason}", hint="name a kubeconfig of an administrator"
        ) from None
    return Target(id=f"api {path}", kind=TargetKind.API, title=f"API of {path}", kubeconfig=str(path))
