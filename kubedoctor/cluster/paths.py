"""Where the files of clusters lie."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kubedoctor.errors import UsageError
from kubedoctor.records import dataclass

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
"""A cluster's name is a DNS label, as it becomes part of host names; 40 characters leave room for the place's."""


def home() -> Path:
    """Return the directory that holds all clusters of this user.

    `$KUBEDOCTOR_HOME`, else /var/lib/kubedoctor for root, else `$XDG_STATE_HOME/kubedoctor`.
    """
    if chosen := os.environ.get("KUBEDOCTOR_HOME"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/kubedoctor")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kubedoctor"


def cache() -> Path:
    """Return the directory of what can be had again: binaries, their versions and flags."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().absolute() / "kubedoctor"


@dataclass(frozen=True, slots=True)
class PlacePaths:
    """The files of one place."""

    directory: Path

    @property
    def lock(self) -> Path:
        """Held by the keeper as long as anything of the place may run."""
        return self.directory / "lock"

    @property
    def plan(self) -> Path:
        """What is to run: written by `up`."""
        return self.directory / "plan.json"

    @property
    def state(self) -> Path:
        """What runs: written by the keeper."""
        return self.directory / "state.json"

    @property
    def events(self) -> Path:
        """What happened since the keeper started, one JSON document a line."""
        return self.directory / "events.jsonl"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.directory / "control.sock"

    @property
    def keeper_log(self) -> Path:
        """What keeper, supervisor and relays say of themselves."""
        return self.directory / "keeper.log"

    @property
    def config(self) -> Path:
        """Files written for components."""
        return self.directory / "config"

    @property
    def logs(self) -> Path:
        """Logs of components, unless LOG_DIR moves them."""
        return self.directory / "logs"

    @property
    def data(self) -> Path:
        """Data of components."""
        return self.directory / "data"


@dataclass(frozen=True, slots=True)
class ClusterPaths:
    """The files of one cluster."""

    name: str
    directory: Path

    @classmethod
    def of(cls, name: str) -> ClusterPaths:
        """Return the paths of the cluster *name*; raise UsageError for a name that cannot be one."""
        if not NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` cannot be a cluster's name",
                hint="use lower-case letters, digits and `-`, at most 40 of them",
            )
        return cls(name, home() / "clusters" / name)

    @property
    def record(self) -> Path:
        """cluster.json: outside ports that are kept, when it was made."""
        return self.directory / "cluster.json"

    @property
    def merged(self) -> Path:
        """merged.json: people's kubeconfigs that hold an entry of this cluster; absent while there is none."""
        return self.directory / "merged.json"

    @property
    def readme(self) -> Path:
        """Tells whoever finds the directory what it is."""
        return self.directory / "README"

    @property
    def places(self) -> Path:
        """The directory of all places."""
        return self.directory / "places"

    def place(self, name: str = "node-1") -> PlacePaths:
        """Return the paths of one place."""
        return PlacePaths(self.places / name)


def clusters() -> list[ClusterPaths]:
    """Return all clusters of this user that have a directory, by name."""
    directory = home() / "clusters"
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and NAME.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    return [ClusterPaths(name, directory / name) for name in names]
