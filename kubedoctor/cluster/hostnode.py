"""A node on the host: which runtime it uses, and what forbids one there. Nothing is changed on the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kubedoctor.cluster.cleanup.record import read
from kubedoctor.cluster.identity import boot_id
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths
from kubedoctor.cluster.place import read_state
from kubedoctor.components import Trace
from kubedoctor.config import ClusterConfig, PlaceKind
from kubedoctor.errors import ConfigError, KubedoctorError
from kubedoctor.host.abilities import runs_systemd
from kubedoctor.node_config import HostRuntime

CONTAINERD = "/run/containerd/containerd.sock"
USUAL = (CONTAINERD, "/run/crio/crio.sock")
"""Where runtimes listen unless they are told otherwise."""
VARIABLE = "CONTAINER_RUNTIME_ENDPOINT"

_KUBELETS = frozenset({"kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "rke2"})
"""Programs that are a kubelet, or hold one, as the kernel names their processes."""


def wants_host(config: ClusterConfig) -> bool:
    """Return whether a node has been asked for that uses a runtime of the machine."""
    return config.node and (config.host or bool(config.container_runtime_endpoint))


def settle(config: ClusterConfig) -> tuple[ClusterConfig, tuple[str, ...]]:
    """Return *config* with the place and the runtime of a node that `wants_host`, and notes, the announcement first.

    Raise KubedoctorError where no runtime answers, and where others use it in a way that a kubelet would disturb.
    """
    socket = _socket(config)
    if not socket:
        # Guides paste the script's default. Where nothing is there, a node needs none of the machine's.
        note = f"nothing is at {VARIABLE} ({CONTAINERD}): the node has a sandbox with a containerd of its own"
        return replace(config, container_runtime_endpoint="", place_kind=PlaceKind.SANDBOX), (note,)
    place = ClusterPaths.of(config.name).place(config.place)
    _refuse_foreign_kubelet(place)
    if config.kube_proxy_mode == "ipvs":
        raise ConfigError(
            "kube-proxy in ipvs mode is for a sandbox: on the host nothing tells its virtual servers from others'",
            hint=f"take iptables or nftables; or run it in a sandbox: unset {VARIABLE}, no --host",
        )
    runtime = _found(socket, place)
    _refuse_foreign_pods(runtime, place)
    asked = "--host" if config.host else f"{VARIABLE} is set"
    where = f"its pods run in {runtime.name} {runtime.version} at {runtime.socket}"
    notes = [f"{asked}: this cluster runs on the host itself, not in a sandbox; {where}"]
    if not config.api_bind_address:
        notes.append(
            "pods have to reach kube-apiserver: it listens on all addresses of this machine (API_BIND_ADDR limits it)"
        )
    changed = replace(
        config,
        place_kind=PlaceKind.HOST,
        runtime=runtime,
        container_runtime_endpoint=f"unix://{runtime.socket}",
    )
    return changed, tuple(notes)


def _socket(config: ClusterConfig) -> str:
    """Return the socket of the runtime to be used, "" where the script's default was named and nothing is there."""
    wished = config.container_runtime_endpoint
    if wished:
        socket = wished.removeprefix("unix://")
        if not socket.startswith("/"):
            raise ConfigError(f"{VARIABLE}: expected a socket such as unix://{CONTAINERD}, found `{wished}`")
        if Path(socket).exists():
            return socket
        if os.path.realpath(socket) == os.path.realpath(CONTAINERD) and not config.host:
            return ""
        raise ConfigError(
            f"{VARIABLE}: there is no {socket}",
            hint=f"start the runtime, or unset {VARIABLE}: the node then has a sandbox with a containerd of its own",
        )
    found = next((socket for socket in USUAL if Path(socket).exists()), "")
    if not found:
        raise ConfigError(
            "a node on the host needs a container runtime, and none is at " + " or ".join(USUAL),
            hint=f"start containerd or CRI-O, or name its socket: {VARIABLE}=unix:///…; "
            "without --host the node has a sandbox with a containerd of its own, with --no-node there is none",
        )
    return found


def _found(socket: str, place: PlacePaths) -> HostRuntime:
    """Return the runtime as it tells of itself, and the images it has without this cluster."""
    from kubedoctor.cluster.cri import Runtime  # brings h2

    runtime = Runtime(socket)
    name, version = runtime.version()
    status = runtime.status()
    record = read(place)
    ours = {one.name for one in (record.traces if record else ()) if one.trace == Trace.IMAGE and not one.was_there}
    return HostRuntime(
        name=name,
        version=version,
        socket=socket,
        cgroup_driver=runtime.cgroup_driver() or ("systemd" if runs_systemd() else "cgroupfs"),
        pause_image=status.sandbox_image,
        images=runtime.images() - ours,
        cni_config_dir=status.cni_conf_dir,
        cni_bin_dir=next(iter(status.cni_bin_dirs), ""),
    )


def _refuse_foreign_pods(runtime: HostRuntime, place: PlacePaths) -> None:
    """Raise KubedoctorError where the runtime has pods of others: a kubelet ends every pod that its API does not know.

    While this cluster runs, or has left something, there is a record, and pods are its own.
    """
    from kubedoctor.cluster.cri import Runtime

    if read(place) is not None:
        return
    pods = Runtime(runtime.socket).pods()
    if pods:
        names = ", ".join(str(pod) for pod in pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
        raise KubedoctorError(
            f"{runtime.name} at {runtime.socket} has pods of others ({names}): a kubelet would end them",
            hint=f"run in a sandbox beside them: unset {VARIABLE}, no --host\n"
            "or remove them, if nobody needs them: crictl rmp -f ID",
        )


# --- other kubelets ---------------------------------------------------------------------------------------------------


def _refuse_foreign_kubelet(place: PlacePaths) -> None:
    """Raise KubedoctorError naming a kubelet of this machine that is not this cluster's."""
    own = _own_pids(place)
    for pid, name in _kubelets():
        if pid not in own:
            raise KubedoctorError(
                f"a kubelet runs on this host already: {name}, pid {pid} ({_command(pid)})",
                hint=f"run in a sandbox beside it: unset {VARIABLE}, no --host\n"
                f"or stop it with what started it (systemctl stop {name}, kubeadm reset, …)",
            )


def _own_pids(place: PlacePaths) -> set[int]:
    try:
        state = read_state(place)
    except KubedoctorError:
        return set()
    if state is None or state.boot_id != boot_id():
        return set()
    return {component.pid for component in state.components}


def _kubelets() -> Iterator[tuple[int, str]]:
    """Yield pid and name of the kubelets in our network; those in sandboxes and containers are in their own."""
    ours = os.stat("/proc/self/ns/net")  # noqa: PTH116 - once for each process
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are enough
        if not entry.isdecimal():
            continue
        try:
            name = Path("/proc", entry, "comm").read_text().strip()
            if name in _KUBELETS and os.path.samestat(os.stat(f"/proc/{entry}/ns/net"), ours):  # noqa: PTH116
                yield int(entry), name
        except OSError:
            continue  # gone, or not ours to see


def _command(pid: int) -> str:
    """Return the program a process runs, without its arguments."""
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115
    except OSError:
        return "its program cannot be read"
