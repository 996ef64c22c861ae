"""The outside ports of a cluster: chosen, bound before anything starts, and kept for the next time."""

from __future__ import annotations

import errno
import shlex
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from kubedoctor.cluster.paths import home
from kubedoctor.cluster.planning.ports import PortWish
from kubedoctor.errors import ConfigError, KubedoctorError
from kubedoctor.host.owner import Owner, describe, owner_of
from kubedoctor.records import dataclass

FREE_FROM, FREE_TO = 16443, 32767
"""Where free ports are looked for: above the well-known ones, below those the kernel takes for outgoing connections."""
_BACKLOG = 512
CHECKS = {
    "etcd": "etcd.port-taken",
    "kube-apiserver": "apiserver.port-taken",
    "kube-controller-manager": "controllers.port-taken",
    "kube-scheduler": "scheduler.port-taken",
}
"""The checks that say the same of components that are there already."""


class PortTaken(KubedoctorError):  # noqa: N818 - a state, not a mistake
    """A port that has to be this one is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An outside port that is ours as long as `listener` is open."""

    key: str  # "<component>.<port>", or "publish.<inside>"
    outside: int
    listener: socket.socket


def open_all(
    wishes: Iterable[PortWish], *, default_cluster: bool, kept: Mapping[str, int], avoid: frozenset[int]
) -> tuple[list[Opening], list[str]]:
    """Return an opening for every wish, and lines that tell what is not as it was the last time.

    A port the user named must be had. Otherwise the *kept* one is taken; for the default cluster the usual one, which
    must be had too, as everybody expects it there; for others a free one, but none of *avoid*, which other clusters
    keep. Raise PortTaken naming the owner; nothing stays open then.
    """
    openings: list[Opening] = []
    notes: list[str] = []
    try:
        for wish in wishes:
            opening = _open(wish, default_cluster, kept.get(wish.key, 0), avoid, notes)
            openings.append(opening)
    except BaseException:
        for opening in openings:
            opening.listener.close()
        raise
    return openings, notes


def _open(wish: PortWish, default_cluster: bool, kept: int, avoid: frozenset[int], notes: list[str]) -> Opening:
    usual = wish.outside if wish.exact or default_cluster else 0
    if usual and (wish.exact or kept in (0, usual)):
        return Opening(key=wish.key, outside=usual, listener=_bind_or_tell(wish.address, usual, wish.key))
    if not kept:
        return _first_free(wish, avoid)
    try:
        return Opening(key=wish.key, outside=kept, listener=bind(wish.address, kept))
    except OSError:
        owner = describe(owner_of(kept, wish.address))
        opening = _first_free(wish, avoid)
        notes.append(f"port {kept} of {wish.key} is taken by {owner}: it is {opening.outside} now")
        return opening


def _first_free(wish: PortWish, avoid: frozenset[int]) -> Opening:
    for number in range(FREE_FROM, FREE_TO):
        if number not in avoid:
            try:
                return Opening(key=wish.key, outside=number, listener=bind(wish.address, number))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise _taken(wish.address, number, wish.key, problem) from problem
    raise KubedoctorError(f"no port from {FREE_FROM} to {FREE_TO} is free on {wish.address}")


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket; raise OSError when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Only what still listens keeps a port: connections of an earlier run that wait for their last packets do not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_or_tell(address: str, port: int, key: str) -> socket.socket:
    try:
        return bind(address, port)
    except OSError as problem:
        raise _taken(address, port, key, problem) from problem


def _taken(address: str, port: int, key: str, problem: OSError) -> KubedoctorError:
    if problem.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"{address} is no address of this machine", hint="see `ip address`; 127.0.0.1 always works")
    if problem.errno == errno.EACCES:
        return ConfigError(f"port {port} needs root", hint="choose one above 1023")
    owner = owner_of(port, address)
    component = key.partition(".")[0]
    lines = [f"use another port: {_another(key, address)}"]
    if component in CHECKS:
        lines.append(f"more about it: kubedoctor explain {CHECKS[component]}")
    who = describe(owner)
    if cluster := _cluster_of(owner):
        directory, name = cluster
        who = f"cluster `{name}` of {directory}" if directory != home() else f"cluster `{name}`"
        variable = f"KUBEDOCTOR_HOME={shlex.quote(str(directory))} " if directory != home() else ""
        lines.insert(0, f"stop it: {variable}kubedoctor down" + ("" if name == "local" else f" --name {name}"))
    elif owner is not None and owner.pid:
        lines.insert(0, f"stop it: kill {owner.pid}")
    what = (
        f"port {key.partition('.')[2]} cannot be published" if component == "publish" else f"{component} cannot start"
    )
    return PortTaken(f"{what}: port {port} is taken by {who}; nothing was started", hint="\n".join(lines))


def _another(key: str, address: str) -> str:
    component, _, inside = key.partition(".")
    port = free_port(address)
    return f"--publish {port}:{inside}" if component == "publish" else f"kubedoctor up --port {key}={port}"


def _cluster_of(owner: Owner | None) -> tuple[Path, str] | None:
    """Return the home and the name of the cluster whose keeper, supervisor or relay *owner* is, None for others."""
    if owner is None or not owner.name.startswith("kd-"):
        return None
    parts = Path(owner.directory).parts[-4:]  # they run in the directory of their place
    if len(parts) < 4 or (parts[0], parts[2]) != ("clusters", "places"):
        return None
    return Path(owner.directory).parents[3], parts[1]


def free_port(address: str) -> int:
    """Return a port that is free at this moment, to be suggested."""
    for number in range(FREE_FROM, FREE_TO):
        try:
            bind(address, number).close()
        except OSError:
            continue
        return number
    return 0


def require_free(wishes: Iterable[PortWish]) -> None:
    """Raise PortTaken for the first wish that somebody listens on: where components bind their ports themselves."""
    for wish in wishes:
        _bind_or_tell(wish.address, wish.outside, wish.key).close()
