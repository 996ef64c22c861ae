"""Everything `up` does before a process starts: binaries, ports, certificates, files, the plan."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cluster import clusterfile, ports
from kubedoctor.cluster.cleanup.run import take
from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.files import make_directory, write_atomically
from kubedoctor.cluster.images import write_archive
from kubedoctor.cluster.paths import ClusterPaths, cache
from kubedoctor.cluster.plan import Wanted, components, make_plan
from kubedoctor.components import Cleanup, Trace
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.configuration.layers import Resolved
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import to_json
from kubedoctor.records import dataclass

if TYPE_CHECKING:
    from kubedoctor.cluster.binaries.choice import Chosen, Progress
    from kubedoctor.plugins import Manager

DEFAULT_CLUSTER = "local"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen before anything is written: the wishes, and a binary for each component."""

    wanted: Wanted
    binaries: Mapping[str, Chosen]  # by component
    tools: Mapping[str, Chosen]  # by name


@dataclass(frozen=True, slots=True)
class Prepared:
    """A place that is ready to be started."""

    plan: Plan
    openings: tuple[ports.Opening, ...]
    renewed: tuple[str, ...]  # certificates that were written anew

    def listeners(self) -> list[dict[str, int]]:
        """Return the listeners as the keeper takes them: with the inside port each leads to."""
        inside = {f"{c.name}.{port.name}": port.inside for c in self.plan.components for port in c.ports}
        inside |= {f"publish.{item.inside}": item.inside for item in self.plan.publish}
        return [
            {"descriptor": o.listener.fileno(), "outside": o.outside, "inside": inside[o.key]} for o in self.openings
        ]

    def close(self) -> None:
        """Let go of the ports; a keeper that was given them keeps them."""
        for opening in self.openings:
            opening.listener.close()


def choose(
    resolved: Resolved,
    config: ClusterConfig,
    manager: Manager,
    *,
    execute: bool = True,
    progress: Progress | None = None,
) -> Choice:
    """Return what is to run and with which binaries; with *execute*, missing ones are downloaded or built."""
    from kubedoctor.cluster.binaries.provide import provide

    wanted = components(config, manager, layers=resolved.origins)
    names = wanted.binaries
    found = provide(
        sorted({*names.values(), *wanted.tools}),
        config,
        lambda name: manager.binaries(name, config),
        execute=execute,
        progress=progress,
    )
    return Choice(
        wanted,
        {component: found[binary] for component, binary in names.items()},
        {name: found[name] for name in wanted.tools},
    )


def plan_of(config: ClusterConfig, choice: Choice, bound: Mapping[str, int], *, remember: bool = True) -> Plan:
    """Return the plan for *choice*, with the outside ports that were bound.

    With *remember*, what binaries tell of themselves is kept for the next time.
    """
    from kubedoctor.cluster.binaries.probe import known_flags, rejects

    return make_plan(
        config,
        choice.wanted,
        choice.binaries,
        flags_of=lambda path, subcommand: known_flags(path, subcommand, remember=remember),
        rejects=rejects,
        tools=choice.tools,
        bound=bound,
        environment=os.environ,
    )


def prepare(config: ClusterConfig, choice: Choice) -> Prepared:
    """Bind ports, issue certificates, write every file; the caller holds the lock of the place.

    Raise KubedoctorError with nothing left bound when something is in the way; what was written serves the next try.
    """
    paths = ClusterPaths(config.name, config.directory)
    record = clusterfile.read(paths) or clusterfile.ClusterFile(
        name=config.name, created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )
    check_data(record, choice.binaries)
    openings, notes = _open_ports(config, choice.wanted, record)
    try:
        with telling_of_full_disks(config.directory):
            plan = plan_of(config, choice, {opening.key: opening.outside for opening in openings})
            plan = replace(plan, notes=(*plan.notes, *notes))
            renewed = write_all(config, choice, plan, record)
    except BaseException:
        for opening in openings:
            opening.listener.close()
        raise
    return Prepared(plan, tuple(openings), renewed)


def _open_ports(
    config: ClusterConfig, wanted: Wanted, record: clusterfile.ClusterFile
) -> tuple[list[ports.Opening], list[str]]:
    if config.place_kind is PlaceKind.HOST:
        ports.require_free(wanted.ports)
        return [], []
    return ports.open_all(
        wanted.ports,
        default_cluster=config.name == DEFAULT_CLUSTER,
        kept=record.ports,
        avoid=clusterfile.ports_of_others(config.name),
    )


def check_data(record: clusterfile.ClusterFile, binaries: Mapping[str, Chosen]) -> None:
    """Raise PlanError where a component is older than the one that wrote its data: it may start and lose some."""
    from kubedoctor.cluster.binaries.skew import check_data_version

    for name, version in record.data_versions.items():
        if name in binaries:
            check_data_version(version, binaries[name].version, component=name)


def write_all(config: ClusterConfig, choice: Choice, plan: Plan, record: clusterfile.ClusterFile) -> tuple[str, ...]:
    """Write certificates, kubeconfigs, components' files, plan.json, cluster.json; return renewed certificates."""
    from kubedoctor.cluster.pki import issue

    paths = ClusterPaths(config.name, config.directory)
    take(paths.place(config.place), _cleanups(config, choice), cgroup=plan.cgroup)
    for component in plan.components:
        for directory in (*component.directories, str(Path(component.log).parent)):
            _make_private(Path(directory))
    issued = issue(config, choice.wanted.certificates)
    _write_kubeconfigs(config, choice.wanted, plan)
    for component in plan.components:
        for file in component.files:
            _make_private(Path(file.path).parent)
            write_atomically(Path(file.path), file.content, mode=file.mode)
        for link, binary in component.links.items():
            _link(Path(link), binary)
    for wanted in choice.wanted.components.values():
        if wanted.archive:
            tools = {name: tool.path for name, tool in choice.tools.items()}
            write_archive(Path(wanted.archive), wanted.images, tools, kept=cache() / "images")
    if paths.merged.exists():
        from kubedoctor.cluster.kubeconfig_merge import refresh  # brings PyYAML, which a first `up` need not pay for

        refresh(paths, kubeconfig=Path(plan.kubeconfig))
    if issued.notes:
        plan = replace(plan, notes=(*plan.notes, *issued.notes))
    write_atomically(paths.place().plan, json.dumps(to_json(plan), indent=1) + "\n")
    outside = {f"{c.name}.{port.name}": port.outside for c in plan.components for port in c.ports if port.outside}
    clusterfile.write(
        paths,
        replace(
            record,
            kubedoctor=clusterfile.own_version(),
            ports={**record.ports, **outside},
            data_versions={**record.data_versions, **_data_versions(choice)},
            cert_dir=config.cert_dir,
            log_dir=config.log_dir,
        ),
    )
    return issued.renewed


def _cleanups(config: ClusterConfig, choice: Choice) -> Iterator[Cleanup]:
    """Yield what a node leaves on the host, and the images that are loaded for it; a sandbox leaves nothing."""
    if config.runtime is None:
        return
    for component in choice.wanted.components.values():
        yield from component.cleanup
        for image in component.images:
            yield Cleanup(trace=Trace.IMAGE, name=image.name, value=config.runtime.socket)


def _link(path: Path, binary: str) -> None:
    """Make or replace the link to *binary* in one step: a running component may look for it at any time."""
    if path.is_symlink() and path.readlink() == Path(binary):
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.symlink_to(binary)
    fresh.replace(path)


def _data_versions(choice: Choice) -> dict[str, str]:
    """Return the versions of components that keep data: those with a directory of their own."""
    keeping = (name for name, component in choice.wanted.components.items() if component.directories)
    return {name: choice.binaries[name].version for name in keeping}


def _write_kubeconfigs(config: ClusterConfig, wanted: Wanted, plan: Plan) -> None:
    from kubedoctor.cluster.kubeconfig import write_kubeconfig

    for path in {Path(config.kubeconfig(kubeconfig.name)).parent for kubeconfig in wanted.kubeconfigs}:
        _make_private(path)
    inside = f"https://{plan.api.address}:{plan.api.port}" if plan.api else ""
    for entry in wanted.kubeconfigs:
        write_kubeconfig(
            Path(config.kubeconfig(entry.name)),
            server=inside if entry.inside else outside_address(plan),
            ca_file=config.pki("server-ca.crt"),
            cert_file=config.pki(f"{entry.certificate}.crt"),
            key_file=config.pki(f"{entry.certificate}.key"),
            cluster=config.name,
            user=entry.name,
            embed=not entry.inside,
        )
        if not entry.inside:
            _give_to_sudo_caller(Path(config.kubeconfig(entry.name)))


def _give_to_sudo_caller(path: Path) -> None:
    """Let the person who called sudo read the kubeconfig made for them; the directories above let them pass."""
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdigit():
        os.chown(path, int(caller), -1, follow_symlinks=False)


def outside_address(plan: Plan) -> str:
    """Return the URL of the API outside; where it is not published (it runs elsewhere), the one it has inside."""
    for component in plan.components:
        for port in component.ports:
            if plan.api and port.inside == plan.api.port and port.outside:
                address = port.outside_address
                return f"https://[{address}]:{port.outside}" if ":" in address else f"https://{address}:{port.outside}"
    return f"https://{plan.api.address}:{plan.api.port}" if plan.api else ""


def _make_private(path: Path) -> None:
    """Make a directory that is nobody else's; one that is there, such as a LOG_DIR of the user's, stays as it is."""
    if path.is_dir():
        return
    try:
        make_directory(path)
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            raise
        raise KubedoctorError(f"cannot make {path}: {problem.strerror or problem}") from None


@contextlib.contextmanager
def telling_of_full_disks(directory: Path) -> Iterator[None]:
    """Turn a failure to write into an error that tells what is full, or read-only, and how full."""
    try:
        yield
    except OSError as problem:
        where = problem.filename or directory
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(directory).free >> 20
            raise KubedoctorError(
                f"the disk is full: cannot write {where} ({free} MiB free)",
                hint="a cluster needs some 200 MiB; make room, or choose another place: export KUBEDOCTOR_HOME=DIR",
            ) from None
        if problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise KubedoctorError(
                f"cannot write {where}: {problem.strerror}", hint="choose another place: export KUBEDOCTOR_HOME=DIR"
            ) from None
        raise
