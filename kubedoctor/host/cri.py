"""What a container runtime says of itself over the CRI: version, conditions, configuration, cgroup driver.

`socket` is a path, seen from the root directory of process `root`. All of these facts raise Absent when there is no
socket or the runtime does not know the call, Denied, Silent when it does not answer within 2 s, Malformed.
"""

from __future__ import annotations

from kubedoctor.facts import Absent, Denied, FactError, Look, Malformed, Silent, fact
from kubedoctor.host.documents import Value, at, mapping, parse_document
from kubedoctor.host.errors import printable
from kubedoctor.host.grpc import Code, grpc_call
from kubedoctor.host.protobuf import Message, parse_message
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass

VERSIONS = ("v1", "v1alpha2")
"""Versions of the CRI, newest first. A kubelet takes v1 only since 1.26."""
_VERBOSE = b"\x08\x01"  # StatusRequest.verbose
_DRIVERS = {0: "systemd", 1: "cgroupfs"}  # CgroupDriver of the CRI


@dataclass(frozen=True, slots=True, kw_only=True)
class CriVersion:
    """What serves the socket. `api` is the newest version of the CRI that it serves, empty when it serves none."""

    api: str = ""
    name: str = ""  # containerd, cri-o, docker
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriCondition:
    """A condition: RuntimeReady, NetworkReady, ContainerdHasNoDeprecationWarnings."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHandler:
    """A way to run containers, as configured. What is not said is empty or None."""

    name: str
    type: str = ""  # io.containerd.runc.v2
    binary: str = ""  # a path, or a name that is looked for in the PATH; empty: the type's own
    systemd_cgroup: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CriStatus:
    """The conditions of a runtime, and what it tells of its configuration; all but containerd tell next to nothing.

    `cni_load` is how the last load of the network configuration ended, in its words: `OK`.
    """

    conditions: tuple[CriCondition, ...] = ()
    default_handler: str = ""
    handlers: tuple[RuntimeHandler, ...] = ()
    cni_bin_dirs: tuple[str, ...] = ()
    cni_conf_dir: str = ""
    cni_max_conf: int | None = None
    cni_load: str = ""
    internal_loopback: bool = False  # no `loopback` plugin is needed
    sandbox_image: str = ""

    def condition(self, kind: str) -> CriCondition | None:
        """Return the condition of this type."""
        return next((one for one in self.conditions if one.type == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFilesystem:
    """Where images are kept, and how much they use."""

    mount: str
    used_bytes: int
    used_inodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CriContainer:
    """A container; `state` is created, running, exited or unknown, `created` seconds since the epoch."""

    id: str
    sandbox: str
    name: str
    attempt: int
    image: str
    state: str
    created: float
    pod: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriSandbox:
    """A pod's sandbox; `created` is seconds since the epoch."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    ready: bool
    created: float
    handler: str = ""


@fact("host.cri-version")
def cri_version(look: Look, socket: str, root: int) -> CriVersion:
    """What serves a CRI socket, and in which version of the CRI; that it serves none is a value too."""
    del look
    for api in VERSIONS:
        try:
            told = _call(socket, root, f"/runtime.{api}.RuntimeService/Version")
        except Absent:
            if _is_gone(socket, root):
                raise
            continue
        return CriVersion(api=api, name=printable(told.text(2)), version=printable(told.text(3)))
    return CriVersion()


@fact("host.cri-status")
def cri_status(look: Look, socket: str, root: int) -> CriStatus:
    """The conditions of a runtime, and what it tells of its configuration."""
    return parse_status(_ask(look, socket, root, "RuntimeService/Status", _VERBOSE))


@fact("host.cri-cgroup-driver")
def cri_cgroup_driver(look: Look, socket: str, root: int) -> str:
    """The cgroup driver that the runtime tells the kubelet to use, `systemd` or `cgroupfs`; Absent with an old one."""
    linux = _ask(look, socket, root, "RuntimeService/RuntimeConfig").message(1)
    if linux is None:
        raise Absent("the runtime does not tell its cgroup driver")
    return _DRIVERS.get(linux.number(1), "") or _strange("cgroup driver", linux.number(1))


@fact("host.cri-image-filesystems")
def cri_image_filesystems(look: Look, socket: str, root: int) -> tuple[ImageFilesystem, ...]:
    """The filesystems that hold images."""
    told = _ask(look, socket, root, "ImageService/ImageFsInfo")
    return tuple(
        ImageFilesystem(
            mount=printable(_inner(one, 2).text(1)),
            used_bytes=_inner(one, 3).number(1),
            used_inodes=_inner(one, 4).number(1),
        )
        for one in told.messages(1)
    )


@fact("host.cri-containers")
def cri_containers(look: Look, socket: str, root: int) -> tuple[CriContainer, ...]:
    """All containers of the runtime, those that have ended too, oldest first."""
    told = _ask(look, socket, root, "RuntimeService/ListContainers")
    return tuple(sorted(map(_container, told.messages(1)), key=lambda one: (one.created, one.id)))


@fact("host.cri-sandboxes")
def cri_sandboxes(look: Look, socket: str, root: int) -> tuple[CriSandbox, ...]:
    """The sandboxes of all pods, oldest first."""
    told = _ask(look, socket, root, "RuntimeService/ListPodSandbox")
    return tuple(sorted(map(_sandbox, told.messages(1)), key=lambda one: (one.created, one.id)))


# ----------------------------------------------------------------------------------------------------------------------


def _ask(look: Look, socket: str, root: int, method: str, request: bytes = b"") -> Message:
    """Return the reply; a runtime that did not tell its version in time is not asked again."""
    served = look.get(cri_version, socket, root)
    if not served.api:
        raise Absent(f"{printable(socket)} serves no CRI")
    return _call(socket, root, f"/runtime.{served.api}.{method}", request)


def _call(socket: str, root: int, method: str, request: bytes = b"") -> Message:
    reply = grpc_call(socket, method, request, root=root)
    if reply.code == Code.OK:
        return parse_message(reply.body)
    raise _refusal(reply.code, f"{printable(socket)}: {reply.message or f'gRPC code {reply.code}'}")


def _refusal(code: int, reason: str) -> FactError:
    match code:
        case Code.UNIMPLEMENTED:
            return Absent(reason)
        case Code.PERMISSION_DENIED | Code.UNAUTHENTICATED:
            return Denied(reason)
        case Code.DEADLINE_EXCEEDED | Code.UNAVAILABLE:
            return Silent(reason)
    return Malformed(reason)


def _is_gone(socket: str, root: int) -> bool:
    """Return whether it is the socket that is not there, rather than the call."""
    from kubedoctor.host.files import stat_file

    try:
        stat_file(socket, root=root, follow=True)
    except Absent:
        return True
    return False


def _strange(what: str, value: object) -> str:
    raise Malformed(f"the runtime tells an unknown {what}: {value}")


def _inner(message: Message, number: int) -> Message:
    return message.message(number) or Message()


def parse_status(told: Message) -> CriStatus:
    """Return what a StatusResponse says; of the configuration only what is named in CriStatus. Raise Malformed."""
    conditions = tuple(
        CriCondition(
            type=printable(one.text(1)),
            status=bool(one.number(2)),
            reason=printable(one.text(3)),
            message=printable(redacted([one.text(4)])[0]),
        )
        for one in _inner(told, 1).messages(1)
    )
    info = told.mapping(2)
    config = _document(info.get("config", ""))
    cni, containerd = at(config, "cni"), at(config, "containerd")
    most = at(cni, "maxConfNum")
    return CriStatus(
        conditions=conditions,
        default_handler=_text(at(containerd, "defaultRuntimeName")),
        handlers=tuple(_handlers(containerd)),
        cni_bin_dirs=_texts(at(cni, "binDirs")) or _texts([at(cni, "binDir")]),
        cni_conf_dir=_text(at(cni, "confDir")),
        cni_max_conf=most if isinstance(most, int) and not isinstance(most, bool) else None,
        cni_load=printable(redacted([info.get("lastCNILoadStatus", "")])[0]),
        internal_loopback=at(cni, "useInternalLoopback") is True,
        sandbox_image=_text(at(config, "sandboxImage")),
    )


def _document(text: str) -> Value:
    return parse_document(text.encode(), "the configuration that the runtime tells") if text else None


def _handlers(containerd: Value) -> list[RuntimeHandler]:
    found = []
    for name, told in sorted(mapping(at(containerd, "runtimes")).items()):
        systemd = at(told, "options", "SystemdCgroup")
        found.append(
            RuntimeHandler(
                name=printable(name),
                type=_text(at(told, "runtimeType")),
                binary=_text(at(told, "options", "BinaryName")),
                systemd_cgroup=systemd if isinstance(systemd, bool) else None,
            )
        )
    return found


def _text(value: Value) -> str:
    return printable(redacted([value])[0]) if isinstance(value, str) else ""


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(text for one in value if (text := _text(one))) if isinstance(value, list) else ()


_STATES = {0: "created", 1: "running", 2: "exited"}


def _container(told: Message) -> CriContainer:
    named, labels = _inner(told, 3), told.mapping(8)
    return CriContainer(
        id=printable(told.text(1)),
        sandbox=printable(told.text(2)),
        name=printable(named.text(1)),
        attempt=named.number(2),
        image=printable(redacted([_inner(told, 4).text(1)])[0]),
        state=_STATES.get(told.number(6), "unknown"),
        created=told.number(7) / 1e9,
        pod=printable(labels.get("io.kubernetes.pod.name", "")),
        namespace=printable(labels.get("io.kubernetes.pod.namespace", "")),
    )


def _sandbox(told: Message) -> CriSandbox:
    named = _inner(told, 2)
    return CriSandbox(
        id=printable(told.text(1)),
        name=printable(named.text(1)),
        uid=printable(named.text(2)),
        namespace=printable(named.text(3)),
        attempt=named.number(4),
        ready=told.number(3) == 0,
        created=told.number(4) / 1e9,
        handler=printable(told.text(7)),
    )
