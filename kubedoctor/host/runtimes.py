"""The container runtimes of a target: which socket the kubelet wants, which runtime serves it, how that is set up.

What the runtime says of itself counts more than its files: it may have been started before they were changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubedoctor.checks import Context, NotApplicable
from kubedoctor.facts import Absent, FactError
from kubedoctor.host.cni import BINARIES, CONFIGURATION
from kubedoctor.host.containerd_config import FILE, SOCKET, ContainerdConfig, containerd_config
from kubedoctor.host.cri import CriStatus, RuntimeHandler, cri_status
from kubedoctor.host.crio_config import DROP_INS, CrioConfig, crio_config
from kubedoctor.host.crio_config import FILE as CRIO_FILE
from kubedoctor.host.kubelet_config import kubelet_setting, socket_path
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

KUBELETS = ("kubelet",)
ALL_IN_ONE = {"k3s": "/run/k3s/containerd/containerd.sock", "k0s": "/run/k0s/containerd.sock"}
"""Programs with a kubelet in them, and where their own containerd listens."""
RUNTIMES = ("containerd", "crio", "cri-dockerd")
RUNTIME_COMPONENTS = (*KUBELETS, *ALL_IN_ONE, *RUNTIMES)
"""The components that make a target one with a runtime."""
SOCKETS = {
    "/run/containerd/containerd.sock": "containerd",
    "/run/crio/crio.sock": "crio",
    "/run/cri-dockerd.sock": "cri-dockerd",
    "/run/k3s/containerd/containerd.sock": "containerd",
    "/run/k0s/containerd.sock": "containerd",
    "/var/snap/microk8s/common/run/containerd.sock": "containerd",
}
"""Where runtimes usually listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A socket that a kubelet wants or a runtime serves, seen from `root`.

    `kubelet` wants it, None when none is known to; `instance` is the runtime that serves it or should, None when none
    is known. `wanted_by` says where the kubelet is told so, empty for its default.
    """

    socket: str
    root: int
    kubelet: Instance | None = None
    instance: Instance | None = None
    wanted_by: str = ""

    @property
    def name(self) -> str:
        """The runtime, by its program or its socket's place."""
        if self.instance is not None:
            return self.instance.name
        return SOCKETS.get(self.socket.replace("/var/run/", "/run/", 1), "the runtime")

    @property
    def where(self) -> str:
        """The runtime in words: its process, or its name."""
        if self.instance is not None and self.instance.is_running:
            return f"{self.name} (pid {self.instance.pid})"
        return self.name

    @property
    def passes_over_broken(self) -> bool:
        """Return whether it loads the next network configuration when one is broken."""
        return self.name in ("crio", "cri-dockerd")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeNetwork:
    """Where a runtime finds the network configuration and the plugins; `told_by` says who says so.

    `most` is how many files it loads, 0 for all.
    """

    conf_dir: str
    bin_dirs: tuple[str, ...]
    most: int
    needs_loopback: bool
    told_by: str
    default: str = ""  # the name of the only network that is used, where that is set


def node_runtimes(context: Context) -> list[Runtime]:
    """Return the runtimes of the target: those its kubelets want, and those that run without a kubelet.

    Raise NotApplicable when none is on a unix socket, FactError when a kubelet's configuration cannot be read.
    """
    found = [*_wanted(context), *_served_only(context)]
    unique = {(one.socket, one.root): one for one in reversed(found) if one.socket}
    if not unique:
        raise NotApplicable("no runtime on a unix socket belongs to it")
    return list(reversed(unique.values()))


def runtime_configuration(context: Context, instance: Instance | None) -> ContainerdConfig | None:
    """Return what containerd's files say; None for another runtime, and where there is no file of its own.

    Raise FactError when there are files that cannot be read.
    """
    if instance is None or instance.name != "containerd":
        return None
    path = config_path(instance)
    try:
        return context.get(containerd_config, path, instance.root)
    except Absent:
        if path == FILE:  # it starts without
            return None
        raise


def config_path(instance: Instance) -> str:
    """Return the path of containerd's configuration file."""
    return instance.path("config") or instance.path("c") or FILE


def served_socket(context: Context, instance: Instance) -> str:
    """Return the path at which a runtime listens; raise FactError."""
    if instance.name == "containerd":
        told = instance.path("address") or instance.path("a")
        config = None if told else runtime_configuration(context, instance)
        return told or (config.address if config else "") or SOCKET
    if instance.name == "crio":
        return socket_path(instance.flag("listen") or _crio(context, instance).socket or "/run/crio/crio.sock")
    return socket_path(instance.flag("container-runtime-endpoint", "/run/cri-dockerd.sock"))


def runtime_network(context: Context, runtime: Runtime) -> RuntimeNetwork:
    """Return where the runtime looks for its network; raise FactError when neither it nor its files can tell."""
    status, problem = _status(context, runtime)
    if status is not None and status.cni_conf_dir:
        return RuntimeNetwork(
            conf_dir=status.cni_conf_dir.rstrip("/") or "/",
            bin_dirs=status.cni_bin_dirs or (BINARIES,),
            most=1 if status.cni_max_conf is None else status.cni_max_conf,
            needs_loopback=not status.internal_loopback,
            told_by=runtime.where,
        )
    if runtime.name == "cri-dockerd" and runtime.instance is not None:
        return _of_cri_dockerd(runtime.instance)
    if runtime.name == "crio" and runtime.instance is not None:
        return _of_crio(_crio(context, runtime.instance), runtime.instance)
    if runtime.name != "containerd":
        raise problem or Absent(f"{runtime.where} does not tell where its network configuration is")
    config = runtime_configuration(context, runtime.instance) or ContainerdConfig()
    return RuntimeNetwork(
        conf_dir=config.cni_conf_dir.rstrip("/") or CONFIGURATION,
        bin_dirs=config.cni_bin_dirs or (BINARIES,),
        most=1 if config.cni_max_conf is None else config.cni_max_conf,
        needs_loopback=not config.internal_loopback,
        told_by=config.files[0] if config.files else "containerd's default",
    )


def runtime_handlers(context: Context, runtime: Runtime) -> tuple[str, Sequence[RuntimeHandler]]:
    """Return the name of the default handler, and all handlers; raise FactError when that cannot be told."""
    status, problem = _status(context, runtime)
    if status is not None and status.handlers:
        return status.default_handler or "runc", status.handlers
    if runtime.name != "containerd":
        raise problem or Absent(f"{runtime.where} does not tell how it runs containers")
    config = runtime_configuration(context, runtime.instance) or ContainerdConfig()
    default = RuntimeHandler(name="runc", type="io.containerd.runc.v2")
    return config.default_handler or "runc", config.handlers or (default,)


# ----------------------------------------------------------------------------------------------------------------------


def _wanted(context: Context) -> Iterator[Runtime]:
    for kubelet in context.target.all(*KUBELETS, *ALL_IN_ONE):
        if kubelet.planned:
            continue
        if kubelet.name in ALL_IN_ONE:
            socket = socket_path(kubelet.flag("container-runtime-endpoint")) or ALL_IN_ONE[kubelet.name]
            source = ""
        elif told := kubelet.flag("container-runtime-endpoint"):  # whatever its files say, and if they say anything
            socket, source = socket_path(told), "--container-runtime-endpoint"
        else:
            setting = kubelet_setting(context, kubelet)
            socket, source = setting.socket, setting.runtime_from
        yield Runtime(
            socket=socket,
            root=kubelet.root,
            kubelet=kubelet,
            instance=_serving(context, socket, kubelet),
            wanted_by=source,
        )


def _served_only(context: Context) -> Iterator[Runtime]:
    if context.target.all(*KUBELETS, *ALL_IN_ONE):
        return
    for instance in context.target.all(*RUNTIMES):
        if not instance.planned:
            yield Runtime(socket=served_socket(context, instance), root=instance.root, instance=instance)


def _serving(context: Context, socket: str, kubelet: Instance) -> Instance | None:
    """Return the runtime of the target that serves *socket*, running ones first."""
    candidates = sorted(
        (one for one in context.target.all(*RUNTIMES) if not one.planned), key=lambda one: not one.is_running
    )
    unknown = []
    for one in candidates:
        try:
            if same_path(served_socket(context, one), socket):
                return one
        except FactError:
            unknown.append(one)  # where it listens cannot be told
    if len(candidates) == 1 and (unknown or kubelet.name in ALL_IN_ONE):
        return candidates[0]
    return None


def same_path(one: str, other: str) -> bool:
    """Return whether two paths are one socket: /var/run is /run."""
    return _plain(one) == _plain(other)


def _plain(path: str) -> str:
    return f"/run/{path.removeprefix('/var/run/')}" if path.startswith("/var/run/") else path


def _status(context: Context, runtime: Runtime) -> tuple[CriStatus | None, FactError | None]:
    try:
        return context.get(cri_status, runtime.socket, runtime.root), None
    except FactError as problem:
        return None, problem


def _crio(context: Context, instance: Instance) -> CrioConfig:
    path = instance.path("config") or instance.path("c") or CRIO_FILE
    directory = instance.path("config-dir") or instance.path("d") or DROP_INS
    return context.get(crio_config, path, directory, instance.root)


def _of_crio(config: CrioConfig, instance: Instance) -> RuntimeNetwork:
    return RuntimeNetwork(
        conf_dir=instance.flag("cni-config-dir", config.network_dir or CONFIGURATION).rstrip("/"),
        bin_dirs=tuple(filter(None, instance.flag("cni-plugin-dir").split(","))) or config.plugin_dirs or (BINARIES,),
        most=1,
        needs_loopback=False,  # it sets up `lo` itself
        told_by=config.files[-1] if config.files else "CRI-O's default",
        default=instance.flag("cni-default-network", config.default_network),
    )


def _of_cri_dockerd(instance: Instance) -> RuntimeNetwork:
    return RuntimeNetwork(
        conf_dir=instance.flag("cni-conf-dir", CONFIGURATION).rstrip("/"),
        bin_dirs=tuple(instance.flag("cni-bin-dir", BINARIES).split(",")),
        most=1,
        needs_loopback=True,
        told_by=instance.source,
    )
