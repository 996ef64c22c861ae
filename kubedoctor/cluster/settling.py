"""What one command wants of a cluster, settled: the wishes of now and before, the kind of place, what was planned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubedoctor.cluster import clusterfile, hostnode, sandbox, subordinate, wishes
from kubedoctor.cluster.archives import archives_of, inspect, opened
from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.files import read_json
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths, home
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.configuration.checks import require_files
from kubedoctor.configuration.layers import Resolved, load
from kubedoctor.configuration.values import said
from kubedoctor.errors import ConfigError, KubedoctorError, NotRunning, UsageError
from kubedoctor.jsonform import from_json
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """The settled wishes of one `up` and where they go."""

    resolved: Resolved
    config: ClusterConfig
    paths: ClusterPaths
    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def place(self) -> PlacePaths:
        """The place of a cluster of one node."""
        return self.paths.place(self.config.place)

    def require_files(self) -> None:
        """Raise ConfigError when a file that components are to read is not there: said before anything starts."""
        require_files(self.config, self.resolved.origins)
        with _said_of(self.resolved, "image_archive"):
            for archive in self.config.image_archive:
                with opened(archive) as file:
                    inspect(file, archive, quick=True)


def settle(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Session:
    """Return what is wished for: now, and by the `up` before if there was no `down` since."""
    first = load(flags, env=environment, home=home())
    paths = ClusterPaths.of(first.config.name)
    record = clusterfile.read(paths)
    resolved = first
    if record is not None and (record.flags or record.environment):
        flags = wishes.added(record.flags, flags)
        environment = {**record.environment, **environment}
        resolved = load(flags, env=environment, home=home())
    if resolved.file is not None:
        flags = {**flags, "config": str(resolved.file)}
    config, notes = settle_place(resolved.config)
    with _said_of(resolved, "image_archive"):
        config = replace(config, image_archive=archives_of(config.image_archive))
    here = Path.cwd()  # what is remembered means the same elsewhere
    flags, environment = wishes.anchored(flags, here), wishes.anchored_variables(wishes.honoured(environment), here)
    return Session(resolved, config, paths, flags, environment, (*notes, *resolved.notes))


@contextmanager
def _said_of(resolved: Resolved, option: str) -> Iterator[None]:
    """Let what is wrong with the files of an option be said with where the option was set."""
    try:
        yield
    except UsageError as problem:
        raise ConfigError(f"{said(resolved.origins, option)}: {problem.message}", hint=problem.hint) from None


def settle_place(config: ClusterConfig) -> tuple[ClusterConfig, tuple[str, ...]]:
    """Return the configuration with the kind of its place, and a note where that is not the sandbox wished for."""
    if os.geteuid() == 0 and hostnode.wants_host(config):
        return hostnode.settle(config)
    if config.host:
        only_root = "only root can run a node on the host: the control plane runs there without one"
        return replace(config, place_kind=PlaceKind.HOST, node=False), (only_root,) if config.node else ()
    if os.geteuid() != 0 and hostnode.wants_host(config):
        settled, notes = settle_place(replace(config, container_runtime_endpoint=""))
        return settled, (f"{hostnode.VARIABLE} is not used: only root can run a node on the host", *notes)
    if os.geteuid() != 0 and (refusal := sandbox.refusal()):
        note = f"no sandbox for an ordinary user here ({refusal}): the control plane runs on the host"
        return replace(config, place_kind=PlaceKind.HOST, node=False), (note,)
    if os.geteuid() != 0 and config.node and (missing := subordinate.refusal()):
        note = f"no node for this user ({missing}): the control plane runs without one"
        return replace(config, place_kind=PlaceKind.SANDBOX, node=False), (note,)
    return replace(config, place_kind=PlaceKind.SANDBOX), ()


def read_plan(place: PlacePaths) -> Plan:
    """Return the plan that the place runs, or ran last; raise KubedoctorError when there is none to be read."""
    try:
        return from_json(Plan, read_json(place.plan))
    except FileNotFoundError:
        raise NotRunning(f"{place.directory} has no plan yet", hint="kubedoctor up") from None
    except ValueError as problem:
        raise KubedoctorError(f"{place.plan} cannot be read: {problem}", hint="kubedoctor up writes it anew") from None
