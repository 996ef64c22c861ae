"""How much room each component wants where it keeps its data."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubedoctor import Absent, Context, Instance, host
from kubedoctor_host.facts import etcd_directories, runtime_directory, runtime_directory_of
from kubedoctor_host.kubelets import kubelet
from kubedoctor_host.wording import size

SEGMENT = 64_000_000
"""Bytes that etcd reserves for each file of its log (SegmentSizeBytes of server/storage/wal). Measured with 3.7.3: on
a filesystem of 60 MiB it ends at its first start with `failed to create WAL`. While it starts it tries to reserve the
next one too: with room for one only, that attempt takes the database's room in about half of all starts, and it ends
with `failed to commit tx`; with room for two it starts."""
FLOOR = 4 * SEGMENT
"""Below this etcd's log and database have no room to grow: a threshold of ours."""

RUNTIMES: Mapping[str, tuple[str, str]] = {
    "containerd": ("/etc/containerd/config.toml", "/var/lib/containerd"),
    "crio": ("/etc/crio/crio.conf", "/var/lib/containers/storage"),
}
"""Where each is configured, and where it keeps images unless it says otherwise."""

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)(%|[kMGT]i?|Ki)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Room that `who` wants on the filesystem of `path`, and what happens without; a limit below 1 is a share of it."""

    who: str
    path: str
    root: int
    room: float = 0.0  # bytes
    inodes: float = 0.0
    scarce: float = 0.0  # bytes below which it becomes tight
    otherwise: str = ""
    reserve: bool = False  # it may use what is kept for root


def demands(context: Context) -> Iterator[Demand]:
    """Yield what the target's components want; raise FactError for a configuration that cannot be read."""
    for instance in context.target.all("etcd"):
        yield from _etcd(context, instance)
    nodes = context.target.all("kubelet")
    for instance in nodes:
        eviction = kubelet(context, instance).eviction
        yield Demand(
            who="kubelet",
            path=instance.outside(instance.path("root-dir", "/var/lib/kubelet")),
            root=instance.root,
            room=quantity(eviction.get("nodefs.available", "")),
            inodes=quantity(eviction.get("nodefs.inodesFree", "")),
            otherwise="pods are evicted and no others start",
        )
    for instance in context.target.all(*RUNTIMES) if nodes else ():
        eviction = kubelet(context, nodes[0]).eviction
        yield Demand(
            who=instance.name,
            path=_images(context, instance),
            root=instance.root,
            room=quantity(eviction.get("imagefs.available", "")),
            inodes=quantity(eviction.get("imagefs.inodesFree", "")),
            otherwise="images are deleted",
        )


def _etcd(context: Context, instance: Instance) -> Iterator[Demand]:
    environment = instance.environment
    file = instance.path("config-file") or instance.absolute(environment.get("ETCD_CONFIG_FILE", ""))
    if file:
        settings = context.get(etcd_directories, file, instance.root)
    else:
        settings = {
            name: instance.flag(name, environment.get(f"ETCD_{name.upper().replace('-', '_')}", ""))
            for name in ("data-dir", "wal-dir", "name")
        }
    data = instance.absolute(settings.get("data-dir") or f"{settings.get('name') or 'default'}.etcd")
    log = instance.absolute(settings.get("wal-dir", "")) or data
    for path in dict.fromkeys((data, log)):
        if path:  # its working directory is known
            yield Demand(
                who="etcd",
                path=path,
                root=instance.root,
                room=SEGMENT if path == log else 1,
                inodes=1,
                scarce=FLOOR,
                otherwise="etcd ends, or does not start",
                reserve=instance.uid == 0,
            )


def _images(context: Context, instance: Instance) -> str:
    file, default = RUNTIMES[instance.name]
    if "root" in instance.flags:
        return instance.path("root")
    named = instance.path("config") or instance.path("c") or file
    if named in instance.files:
        return instance.absolute(runtime_directory_of(instance.files[named], named)) or default
    try:
        return instance.absolute(context.get(runtime_directory, named, instance.root)) or default
    except Absent:  # it runs with what it takes without a file
        return default


def quantity(text: str) -> float:
    """Return a threshold of the kubelet's: bytes or a number, below 1 for a percentage; 0 for none."""
    found = _QUANTITY.fullmatch(text.strip())
    if not found:
        return 0.0
    number = float(found[1])
    return number / 100 if found[2] == "%" else number * _UNITS[found[2] or ""]


def in_words(limit: float) -> str:
    """Return a limit as people write it: 10 %, 61.4 MiB."""
    return f"{limit * 100:g} %" if limit < 1 else size(limit)


def directory_of(path: str, space: host.DiskSpace) -> str:
    """Return where the filesystem is mounted; the nearest directory when that is not seen."""
    return space.mount or posixpath.normpath(space.path or path)
