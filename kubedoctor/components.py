"""What a plugin says of a program to run: pure data, no step taken.

Paths in flags, environment and files are the final ones: take them from the `ClusterConfig` that the hook is given
(`config.pki("server-ca.crt")`, `config.data("etcd")`, `config.file("audit-policy.yaml")`). Addresses and ports are
those inside the place; where they are reached from outside is the core's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import StrEnum

from kubedoctor.records import dataclass

SCHEMA_VERSION = 1

FlagValue = str | int | bool | None
"""None omits the flag, True is `--flag`, everything else `--flag=value` (False is `--flag=false`)."""


class Kind(StrEnum):
    """What a component is to the cluster; `--no-node` leaves out everything but the control plane and extras."""

    CONTROL_PLANE = "control-plane"
    NODE = "node"
    EXTRA = "extra"  # a program of a third party that runs beside the others


class ProbeKind(StrEnum):
    """How readiness is asked for."""

    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    UNIX = "unix"  # a socket at `path` takes connections
    API = "api"  # GET of a path on the cluster's API as its administrator
    DNS = "dns"  # a name server answers with an address for the name in `path`
    PROCESS = "process"  # running is enough: for programs that listen on nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question that is answered with yes when a component works.

    `port` names a port of the component; `contains` must stand in the body. The client certificate is that of
    `certificate` (a name in pki/, without ending) where the server wants one, the server's is checked against `ca`;
    without `ca` any certificate is taken, which is right for components that sign their own at every start.
    `address` and `number` stand for the component's own address and port, where something else is asked: the service
    that works when the component does.
    """

    kind: ProbeKind
    port: str = ""
    address: str = ""
    number: int = 0
    path: str = "/healthz"
    contains: str = ""
    ca: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port a component listens on.

    `publish` None: reachable inside the place only. 0: outside on a free port that is kept. Else: the outside port
    wished for; `exact` when the user named it, so that another one will not do.
    """

    name: str
    inside: int
    publish: int | None = None
    publish_address: str = "127.0.0.1"
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How a component is stopped: the signal, and the seconds until SIGKILL follows."""

    signal: str = "SIGTERM"
    timeout: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file the component reads, written by the core under the place's config/ (see `ClusterConfig.file`)."""

    name: str
    content: str
    mode: int = 0o600


class Authority(StrEnum):
    """The certificate authorities of a cluster; the value is the file's name in pki/."""

    SERVER = "server-ca"
    CLIENT = "client-ca"
    REQUEST_HEADER = "request-header-ca"
    ETCD = "etcd-ca"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A leaf the core issues as pki/<name>.crt and pki/<name>.key; `sans` holds addresses and DNS names."""

    name: str
    authority: Authority
    common_name: str
    organizations: tuple[str, ...] = ()
    sans: tuple[str, ...] = ()
    server: bool = False
    client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig the core writes at `config.kubeconfig(name)`, for the user whose certificate is `certificate`.

    `inside` ones carry the address inside the place, for components; the others the published one, for people.
    """

    name: str
    certificate: str
    inside: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image made of one binary, for pods that have to run where no registry can be asked.

    `name` is the upstream's with its tag; `path` is where the binary lies inside. The binary has to be a static one.
    """

    name: str
    binary: str
    path: str
    arguments: tuple[str, ...] = ()
    user: str = ""


class Trace(StrEnum):
    """What a program leaves on a host place, and how `down` tells it from what was there before.

    What was there when the cluster started is on record; it stays, whatever its name.
    """

    PODS = "pods"  # of the container runtime at the socket `name`: those of this place
    IMAGE = "image"  # of the runtime at the socket `value`, by the name it was loaded under
    MOUNTS = "mounts"  # at and below the directory `name`
    CHAINS = "chains"  # of iptables, whose names begin with `name`, and the rules that lead into them
    COUNTER = "counter"  # of nfnetlink_acct
    TABLE = "table"  # of nftables, of this name, for every family
    BRIDGE = "bridge"  # interfaces whose names begin with `name`, when nothing is attached to them any more
    CGROUP = "cgroup"  # directories of this path in every hierarchy
    DIRECTORY = "directory"  # of this program alone: what was made in it, and itself when it is new
    EMPTY = "empty-directory"  # one that others use too: when it is new and nothing is in it any more
    RESERVATIONS = "reservations"  # directories in the directory `name`, one a network, when nothing is reserved there
    FILE = "file"  # a file or link
    SETTING = "setting"  # below /proc/sys, which the program sets to `value`


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """One thing a program leaves behind on a host place; in a sandbox it goes with that."""

    trace: Trace
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A program of the cluster: what it is run with, what it needs first, how it is known to be ready.

    `binary` is the name that candidates are asked for. `after` names components that have to be ready before this one
    starts (those not in the plan do not count). `ready` holds when every probe does. `cleanup` tells what the
    program leaves on a host place, for `down`. `data` are paths that hold what it stores, below `directories`: they
    are removed when the cluster stops where data is not to be preserved. `arguments` come before the flags, for
    programs with a subcommand, `operands` after them.

    `links` are symbolic links to other binaries the program runs: path -> name, chosen like `binary`. `private` are
    directories that a sandbox has for itself, at the same path as the machine's: below /run they are empty at every
    start, others are kept with the cluster's data. `images` are written to the file `archive`, before it starts.
    `ends`: it does its work and exits; it is ready when it has exited with 0.

    `usable` holds before `ready` does, when the program answers those whom nothing has to be prepared for. `early`
    ones start then already: when those they come after are usable.
    """

    name: str
    kind: Kind
    binary: str
    arguments: tuple[str, ...] = ()
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    operands: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    archive: str = ""
    private: tuple[str, ...] = ()
    ends: bool = False
    certificates: tuple[Certificate, ...] = ()
    kubeconfigs: tuple[Kubeconfig, ...] = ()
    ports: tuple[Port, ...] = ()
    after: tuple[str, ...] = ()
    early: bool = False
    usable: tuple[Probe, ...] = ()
    ready: tuple[Probe, ...] = (Probe(kind=ProbeKind.PROCESS),)
    stop: Stop = Stop()
    directories: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    cleanup: tuple[Cleanup, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def with_flags(self, flags: Mapping[str, FlagValue]) -> Component:
        """Return this component with *flags* laid over its own; a value of None removes one."""
        return replace(self, flags={**self.flags, **flags})

    def with_env(self, env: Mapping[str, str]) -> Component:
        """Return this component with *env* laid over its own."""
        return replace(self, env={**self.env, **env})


Components = dict[str, Component]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Kubernetes objects to be applied at every start, and what has to be true for them to count as ready.

    `objects` are applied server-side in order. `wait` are API paths; each must answer 200 before the cluster is ready.
    `ready` are asked as those of a component are, and shown under the manifest's name; `needs` names components
    without which the objects are not applied at all, `suits` the Kubernetes minor versions that know them: `1.32-`.
    """

    name: str
    objects: tuple[Mapping[str, object], ...]
    wait: tuple[str, ...] = ()
    ready: tuple[Probe, ...] = ()
    needs: tuple[str, ...] = ()
    suits: str = ""


# --- where a binary may come from -------------------------------------------------------------------------------------


class Source(StrEnum):
    """The order in which candidates are tried: the first that meets the wished-for version is taken."""

    USER = "user"  # --binary C=PATH
    BIN_DIR = "bin-dir"  # --bin-dir, GO_OUT
    CHECKOUT = "checkout"
    CACHE = "cache"
    KUBEBUILDER = "kubebuilder-assets"
    PATH = "path"
    DOWNLOAD = "download"
    BUILD = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that is there already."""

    path: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file to be fetched; `member` names it inside a .tar.gz. The checksum is a file at `checksum_url`, or given.

    `any_version`: other versions may be had too; `{version}` in URLs and member stands for the one wished for,
    `{number}` for it without its `v`, and `version` is the one taken without a wish. `newest_url` then is a file that
    holds the newest version; `{minor}` in it stands for `-1.36` when a minor version is wished for, else for nothing.
    `suits` limits the recipe to Kubernetes minor versions: `1.34-1.36`, `1.37-`, `-1.33`. Programs whose recipes name
    the same `folder` belong together: they are of one version, taken from one place, and kept in one directory.
    """

    url: str
    version: str
    checksum_url: str = ""
    checksum: str = ""
    algorithm: str = "sha256"
    member: str = ""
    any_version: bool = False
    newest_url: str = ""
    suits: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBuild:
    """A program to be built from a Go module that has no replace lines of its own, or whose staging modules follow it.

    `packages` maps the binary's name to its main package: all are built in one go, since most of the cost is shared.
    `staging` tells that the module replaces others by ./staging/…, as Kubernetes does; `stamp` are `-X` link flags,
    in which `{version}`, `{number}`, `{major}` and `{minor}` are filled in. `libraries` are the C libraries it needs
    with `cgo`, as pkg-config calls them. `any_version`, `suits` and `folder` are those of `Download`; with a `folder`
    all packages are built whichever is wanted.
    """

    module: str
    version: str
    packages: Mapping[str, str]
    stamp: tuple[str, ...] = ()
    staging: bool = False
    cgo: bool = False
    tags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    any_version: bool = False
    suits: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBuild:
    """A small program whose whole source the plugin brings: one file that needs nothing but the standard library.

    `file` names it; what it ends with tells the language: `.c` is compiled and linked statically, with `VERSION`
    defined as a string, `.go` is built without cgo, with `main.version` set.
    """

    file: str
    source: str
    version: str


Recipe = Download | GoBuild | SourceBuild
"""How a program that is not there is had."""

Candidate = Found | Recipe
