"""The documents that pass between `up`, keeper, supervisor and `status`. Standard library only: the keeper reads them.

Everything in here is settled: paths, argv, addresses. Pids, ports and paths are those of the namespace `up` ran in;
what differs inside a place stands beside it with `inside` in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from kubedoctor.records import dataclass

SCHEMA_VERSION = 1


class State(StrEnum):
    """The states of a component. `failed` is given up on; `exited` was asked to end."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"
    FAILED = "failed"
    DONE = "done"  # it was to do its work and end, and has


WELL = frozenset({State.READY, State.DONE})
"""The states of a component that does what it is there for."""


class Phase(StrEnum):
    """The state of a whole place or cluster."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not-ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedProbe:
    """A probe with its address and files settled; addresses are those inside the place."""

    kind: str  # a value of components.ProbeKind; `api` has become https with the administrator's certificate
    address: str = ""
    port: int = 0
    path: str = ""
    contains: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPort:
    """A port: where it is inside, and where it is published outside (0: it is not)."""

    name: str
    inside: int
    outside: int = 0
    outside_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file to be written before its component starts."""

    path: str
    content: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateDirectory:
    """A directory the sandbox has for itself: `source` is mounted over `path`; without source, an empty tmpfs."""

    path: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedComponent:
    """A component ready to be run. `origins` tells for each flag which layer it came from."""

    name: str
    kind: str
    binary: str
    version: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # the whole environment, not an addition to one
    files: tuple[PlannedFile, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # path: binary it leads to
    directories: tuple[str, ...] = ()
    data: tuple[str, ...] = ()  # what is removed at the end where data is not to be preserved
    log: str = ""
    ports: tuple[PlannedPort, ...] = ()
    after: tuple[str, ...] = ()
    early: bool = False  # starts when those it comes after are usable, not only when they are ready
    usable: tuple[PlannedProbe, ...] = ()
    ready: tuple[PlannedProbe, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 5.0
    ends: bool = False  # ready when it has exited with 0
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedManifest:
    """Objects the supervisor applies (server-side) when the API is ready, each with its API path."""

    name: str
    objects: tuple[Mapping[str, Any], ...] = ()
    paths: tuple[str, ...] = ()  # of the object with the same index, as PATCH takes it
    wait: tuple[str, ...] = ()
    ready: tuple[PlannedProbe, ...] = ()  # asked from when it is applied on, and shown like a component's
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A port of the host's loopback made reachable inside, at `address`:`port`; `name` resolves to it there."""

    name: str
    port: int
    address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A port of the inside published outside beyond those of components (`--publish`)."""

    inside: int
    outside: int
    outside_address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulls:
    """How the runtime of a sandbox gets at registries: by a proxy of the keeper's, which listens inside."""

    address: str
    port: int
    loopback: tuple[int, ...] = ()  # the only ports of the host's loopback it leads to
    http_proxy: str = ""  # what it uses itself outside, for plain HTTP; `http://[USER:PASSWORD@]HOST:PORT`
    https_proxy: str = ""
    no_proxy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A link between a sandbox and the host."""

    uplink: bool = False  # pods get out by it
    routes: tuple[str, ...] = ()  # ranges of addresses that the host gets at by it


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one place runs. Pure data: the same wishes and the same machine give the same plan."""

    cluster: str
    place: str
    place_kind: str  # sandbox or host
    kubernetes: str
    directory: str  # of the place
    address: str  # of the place, inside
    api: PlannedProbe | None = None  # how the supervisor reaches the API: address, port, administrator's files
    components: tuple[PlannedComponent, ...] = ()  # in start order
    manifests: tuple[PlannedManifest, ...] = ()
    publish: tuple[Publication, ...] = ()
    reach: tuple[Reach, ...] = ()
    pulls: Pulls | None = None
    wire: Wire | None = None
    private: tuple[PrivateDirectory, ...] = ()  # of the sandbox
    cgroup: str = ""  # of the node: a path below every hierarchy, made by the keeper and removed by it
    node: bool = False  # a kubelet runs in the place
    kubeconfig: str = ""
    notes: tuple[str, ...] = ()  # lines said once to the user
    schema_version: int = SCHEMA_VERSION
    kind: str = "Plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in a place; one line of events.jsonl and of the control socket."""

    seq: int
    time: str  # RFC 3339 UTC
    elapsed: float  # seconds since the keeper started
    event: str  # state, ready, stopping, stopped, note, failed
    component: str = ""
    state: str = ""
    message: str = ""  # what it waits for, why it failed
    pid: int = 0
    exit: str = ""  # `exit status 1`, `killed by SIGKILL`
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a component's last process ended."""

    time: str
    reason: str  # `exit status 1`, `killed by SIGKILL`
    log_line: str = ""  # the last line that tells an error


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentStatus:
    """A component as `status` shows it."""

    name: str
    kind: str
    place: str
    state: str
    pid: int = 0
    pid_inside: int = 0
    start_ticks: int = 0  # identity together with the boot id, see kubedoctor.cluster.identity
    started: str = ""
    ready_since: str = ""
    restarts: int = 0
    binary: str = ""
    version: str = ""
    ports: tuple[PlannedPort, ...] = ()
    log: str = ""
    ready: bool = False
    reason: str = ""  # what it waits for, why it is not ready
    last_exit: Exit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """The keeper or the supervisor of a place; pid 0 when it is not running."""

    pid: int = 0
    pid_inside: int = 0
    start_ticks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceStatus:
    """A place as state.json holds it; written by its keeper only, replaced atomically."""

    name: str
    kind: str
    phase: str
    boot_id: str = ""
    instance: str = ""  # random; KUBEDOCTOR_INSTANCE in the environment of every component
    since: str = ""  # of the phase
    keeper: ProcessStatus = ProcessStatus()
    supervisor: ProcessStatus = ProcessStatus()
    components: tuple[ComponentStatus, ...] = ()
    cgroups: tuple[str, ...] = ()  # directories to be removed
    failure: str = ""  # why the phase is not ready, one line
    schema_version: int = SCHEMA_VERSION
    kind_of_document: str = "PlaceStatus"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPlace:
    """A place in `status -o json`."""

    name: str
    kind: str
    keeper: ProcessStatus
    supervisor: ProcessStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `status -o json` prints."""

    cluster: str
    phase: str
    kubeconfig: str
    address: str = ""
    since: str = ""
    reason: str = ""
    places: tuple[StatusPlace, ...] = ()
    components: tuple[ComponentStatus, ...] = ()
    schema_version: int = SCHEMA_VERSION
    kind: str = "Status"
