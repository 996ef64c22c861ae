"""Runtimes as the facts show them, made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.instances import running

from kubedoctor import host
from kubedoctor.host.containerd_config import FILE

SOCKET = "/run/containerd/containerd.sock"
KUBELET = running("kubelet", pid=10)
CONTAINERD = running("containerd", pid=20)

RUNC = host.RuntimeHandler(name="runc", type="io.containerd.runc.v2", binary="/usr/bin/runc", systemd_cgroup=False)
READY = host.CriCondition(type="RuntimeReady", status=True)
NETWORK = host.CriCondition(type="NetworkReady", status=True)
NO_NETWORK = host.CriCondition(type="NetworkReady", status=False, message="cni plugin not initialized")


def status(**fields: Any) -> host.CriStatus:
    """Return what a healthy containerd says, with changes."""
    known: dict[str, Any] = {
        "conditions": (READY, NETWORK),
        "default_handler": "runc",
        "handlers": (RUNC,),
        "cni_bin_dirs": ("/opt/cni/bin",),
        "cni_conf_dir": "/etc/cni/net.d",
        "cni_max_conf": 1,
        "cni_load": "OK",
    }
    return host.CriStatus(**{**known, **fields})


def facts(given: Mapping[Any, Any] | None = None, /, *, socket: str = SOCKET) -> dict[Any, Any]:
    """Return the facts about a healthy containerd without a configuration file, with those given instead."""
    from kubedoctor import Absent

    return {
        (host.containerd_config, FILE, 0): Absent(f"{FILE} does not exist"),
        (host.cri_version, socket, 0): host.CriVersion(api="v1", name="containerd", version="v2.4.2"),
        (host.cri_status, socket, 0): status(),
        **(given or {}),
    }
