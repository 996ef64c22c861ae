"""What configuration files say about swap, eviction and where data is kept."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubedoctor import Absent, Look, Malformed, fact, host

LIMIT = 256 << 10
"""Bytes of a configuration file; kubeadm's have 2000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFile:
    """What a kubelet's configuration file says of swap and eviction; None where it is silent."""

    fail_swap_on: bool | None = None
    swap_behavior: str | None = None
    eviction_hard: Mapping[str, str] | None = None
    merges_defaults: bool | None = None


@fact("host.kubelet-file")
def kubelet_file(look: Look, path: str, root: int) -> KubeletFile:
    """What a KubeletConfiguration, as seen from the root directory of process *root*, says of swap and eviction."""
    del look
    return kubelet_file_of(_document(path, root))


def kubelet_file_of(document: Mapping[str, Any]) -> KubeletFile:
    """Return what a KubeletConfiguration says."""
    eviction, swap = document.get("evictionHard"), document.get("memorySwap")
    return KubeletFile(
        fail_swap_on=_boolean(document.get("failSwapOn")),
        swap_behavior=_text(swap.get("swapBehavior")) if isinstance(swap, dict) else None,
        eviction_hard={name: str(value) for name, value in eviction.items()} if isinstance(eviction, dict) else None,
        merges_defaults=_boolean(document.get("mergeDefaultEvictionSettings")),
    )


@fact("host.kubelet-drop-ins")
def kubelet_drop_ins(look: Look, directory: str, root: int) -> tuple[str, ...]:
    """The files of a kubelet's --config-dir in the order in which they are laid over each other; none without it."""
    del look
    try:
        names = host.list_directory(directory, root=root)
    except Absent:
        return ()
    return tuple(posixpath.join(directory, name) for name in names if name.endswith(".conf"))


@fact("host.etcd-directories")
def etcd_directories(look: Look, path: str, root: int) -> Mapping[str, str]:
    """The directories in an etcd configuration file, by the names of the flags: data-dir, wal-dir, name."""
    del look
    document = _document(path, root)
    return {name: text for name in ("data-dir", "wal-dir", "name") if (text := _text(document.get(name)))}


@fact("host.runtime-directory")
def runtime_directory(look: Look, path: str, root: int) -> str:
    """Where a configuration file of containerd (`root`) or CRI-O (`crio.root`) keeps images and containers, or ""."""
    del look
    return runtime_directory_of(host.read_text(path, root=root, limit=LIMIT), path)


def runtime_directory_of(text: str, path: str) -> str:
    """Return the same for a configuration's *text*; raise Malformed for one that is not TOML."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):  # of its own, and of numbers and dates it takes too lightly
        raise Malformed(f"{host.printable(path)} is not TOML") from None
    crio = document.get("crio")
    return _text(document.get("root")) or _text(crio.get("root") if isinstance(crio, dict) else None) or ""


FACTS = (kubelet_file, kubelet_drop_ins, etcd_directories, runtime_directory)


def _document(path: str, root: int) -> dict[str, Any]:
    found = host.parse_document(host.read_file(path, root=root, limit=LIMIT), host.printable(path))
    return dict(found) if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
