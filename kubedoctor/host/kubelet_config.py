"""What a kubelet is set to, as far as runtime and cgroups go: its file, the files laid over it, its flags."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import field
from typing import TypeVar

from kubedoctor.checks import Context
from kubedoctor.facts import Absent, Denied, FactError, Look, Malformed, Silent, fact
from kubedoctor.host.api import api_get, read_access
from kubedoctor.host.documents import Value, at, mapping, parse_document
from kubedoctor.host.errors import printable
from kubedoctor.host.files import list_directory, read_file
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

T = TypeVar("T")
FILE = "/var/lib/kubelet/config.yaml"
"""Where kubeadm and most others put it."""
RUNTIME = "unix:///run/containerd/containerd.sock"
"""The runtime of a kubelet that is told of none, since 1.27."""
DRIVER = "cgroupfs"
"""The cgroup driver of a kubelet that is told of none."""
GATE = "KubeletCgroupDriverFromCRI"
"""The feature gate by which a kubelet takes the cgroup driver from its runtime: on from 1.31, always from 1.34."""

_LIMIT = 512 << 10
_NODE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletFields:
    """What one configuration file of a kubelet says; empty or None where it is silent."""

    runtime: str = ""  # containerRuntimeEndpoint
    cgroup_driver: str = ""
    seccomp_default: bool | None = None
    gates: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletSetting(KubeletFields):
    """What a kubelet is set to. `driver_from` is who says so, a path or `--cgroup-driver`; empty for the default."""

    driver_from: str = ""
    runtime_from: str = ""

    @property
    def socket(self) -> str:
        """The path of its runtime's socket; empty when it is none."""
        return socket_path(self.runtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVersions:
    """What a node's kubelet told the API of itself: `v1.37.2`, `containerd://2.4.2`."""

    kubelet: str
    runtime: str


@fact("host.kubelet-fields")
def kubelet_fields(look: Look, path: str, root: int) -> KubeletFields:
    """What a configuration file of a kubelet says of its runtime and cgroups."""
    del look
    return parse_kubelet_fields(read_file(path, root=root, limit=_LIMIT), path)


@fact("host.kubelet-config-directory")
def kubelet_config_directory(look: Look, directory: str, root: int) -> tuple[str, ...]:
    """The files of a kubelet's --config-dir in the order in which they are laid over its file; none without it."""
    del look
    try:
        names = list_directory(directory, root=root)
    except Absent:
        return ()
    return tuple(posixpath.join(directory, name) for name in names if name.endswith(".conf"))


@fact("host.kubelet-configz")
def kubelet_configz(look: Look, kubeconfig: str, root: int, net: int, node: str) -> KubeletFields:
    """What a running kubelet says it is set to, asked through the API with an administrator's kubeconfig.

    Raise Denied when the API does not let us, Absent when there is no such node, Silent when one of them does not
    answer.
    """
    del look
    return _fields(at(_node(kubeconfig, root, net, node, "/proxy/configz"), "kubeletconfig"))


@fact("host.node-versions")
def node_versions(look: Look, kubeconfig: str, root: int, net: int, node: str) -> NodeVersions:
    """Which kubelet and runtime a node has, as the API knows it; raise as `kubelet_configz` does."""
    del look
    info = at(_node(kubeconfig, root, net, node, ""), "status", "nodeInfo")
    return NodeVersions(kubelet=_text(at(info, "kubeletVersion")), runtime=_text(at(info, "containerRuntimeVersion")))


def parse_kubelet_fields(content: bytes, path: str) -> KubeletFields:
    """Return what a KubeletConfiguration says; raise Malformed."""
    return _fields(parse_document(content, printable(path)))


def _fields(document: Value) -> KubeletFields:
    default = at(document, "seccompDefault")
    gates = mapping(at(document, "featureGates"))
    return KubeletFields(
        runtime=_text(at(document, "containerRuntimeEndpoint")),
        cgroup_driver=_text(at(document, "cgroupDriver")),
        seccomp_default=default if isinstance(default, bool) else None,
        gates={printable(name): value for name, value in gates.items() if isinstance(value, bool)},
    )


def kubelet_setting(context: Context, instance: Instance) -> KubeletSetting:
    """Return what the kubelet that *instance* is, is set to: flags count more than drop-ins, those more than the file.

    Raise what reading its files raises.
    """
    layers = [(path, context.get(kubelet_fields, path, instance.root)) for path in _files(context, instance)]
    flags = KubeletFields(
        runtime=instance.flag("container-runtime-endpoint"),
        cgroup_driver=instance.flag("cgroup-driver"),
        seccomp_default=_boolean(instance.flag("seccomp-default")),
        gates=parse_gates(instance.flag("feature-gates")),
    )
    every = [*layers, ("", flags)]
    driver_from, driver = _last([(path or "--cgroup-driver", one.cgroup_driver) for path, one in every])
    runtime_from, runtime = _last([(path or "--container-runtime-endpoint", one.runtime) for path, one in every])
    _, seccomp = _last([(path, one.seccomp_default) for path, one in every])
    return KubeletSetting(
        runtime=runtime or RUNTIME,
        runtime_from=runtime_from,
        cgroup_driver=driver or DRIVER,
        driver_from=driver_from,
        seccomp_default=seccomp,
        gates={name: value for _, one in every for name, value in one.gates.items()},
    )


def socket_path(endpoint: str) -> str:
    """Return the path of `unix:///run/x.sock`, `unix:/run/x.sock` or `/run/x.sock`; empty for anything else."""
    path = endpoint.removeprefix("unix://") if endpoint.startswith("unix://") else endpoint.removeprefix("unix:")
    return path if path.startswith("/") else ""


def parse_gates(text: str) -> dict[str, bool]:
    """Return `A=true,B=false` as a mapping, without what is neither."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): flag for name, _, value in pairs if (flag := _boolean(value.strip())) is not None}


def _files(context: Context, instance: Instance) -> list[str]:
    path, directory = instance.path("config"), instance.path("config-dir")
    found = [path] if path else []
    if directory:
        drop_ins: tuple[str, ...] = context.get(kubelet_config_directory, directory, instance.root)
        found += drop_ins
    return found


def _last(values: list[tuple[str, T]]) -> tuple[str, T]:
    return next((one for one in reversed(values) if one[1] not in ("", None)), ("", values[-1][1]))


def _boolean(text: str) -> bool | None:
    if text.lower() in ("true", "t", "1"):
        return True
    return False if text.lower() in ("false", "f", "0") else None


def _node(kubeconfig: str, root: int, net: int, node: str, below: str) -> Value:
    if not _NODE.fullmatch(node):
        raise Malformed(f"`{printable(node)}` is no name of a node")
    path = f"/api/v1/nodes/{node}{below}"
    answer = api_get(read_access(kubeconfig, root), path, net=net, root=root, limit=_LIMIT)
    if answer.status != 200:
        raise _refusal(answer.status, f"the API does not tell of node {node}: {answer.status}")
    return parse_document(answer.body, path)


def _refusal(status: int, reason: str) -> FactError:
    if status in (401, 403):
        return Denied(reason)
    return Absent(reason) if status == 404 else Silent(reason)


def _text(value: Value) -> str:
    return printable(redacted([value])[0]) if isinstance(value, str) else ""
