"""A container runtime on the host, as a node uses it: what it is, its pods and images, the end of some of them.

Only what a host place needs of the CRI; checks have facts of their own in `kubedoctor.host.cri`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kubedoctor.errors import KubedoctorError
from kubedoctor.facts import Absent, FactError
from kubedoctor.host.cri import CriStatus, parse_status
from kubedoctor.host.grpc import Code, grpc_call
from kubedoctor.host.protobuf import Message, parse_message
from kubedoctor.records import dataclass

PATIENCE = 5.0
"""Seconds for a question; a healthy containerd needs 3 ms."""
PATIENCE_END = 30.0
"""Seconds until a pod must have ended: its containers are killed, its network is taken down by CNI plugins."""

_RUNTIME, _IMAGE = "/runtime.v1.RuntimeService/", "/runtime.v1.ImageService/"
_VERBOSE = b"\x08\x01"  # StatusRequest.verbose
_DRIVERS = {0: "systemd", 1: "cgroupfs"}  # CgroupDriver


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod's sandbox, running or not."""

    id: str
    name: str
    namespace: str
    of_kubelet: bool  # made by one: it carries the label with the pod's uid
    ready: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Runtime:
    """A runtime by its socket. Every call raises KubedoctorError when it does not answer, or refuses."""

    def __init__(self, socket: str) -> None:
        self.socket = socket

    def version(self) -> tuple[str, str]:
        """Return the name and the version it tells."""
        told = self._ask(f"{_RUNTIME}Version")
        return told.text(2), told.text(3)

    def status(self) -> CriStatus:
        """Return what it tells of itself."""
        return parse_status(self._ask(f"{_RUNTIME}Status", _VERBOSE))

    def cgroup_driver(self) -> str:
        """Return the cgroup driver it tells, "" for a runtime too old to do so."""
        try:
            linux = self._ask(f"{_RUNTIME}RuntimeConfig").message(1)
        except KubedoctorError:
            return ""
        return "" if linux is None else _DRIVERS.get(linux.number(1), "")

    def images(self) -> frozenset[str]:
        """Return the names of its images."""
        told = self._ask(f"{_IMAGE}ListImages")
        return frozenset(name for image in told.messages(1) for name in image.texts(2))

    def pods(self) -> list[Pod]:
        """Return all pods, those that have ended too."""
        return [_pod(one) for one in self._ask(f"{_RUNTIME}ListPodSandbox").messages(1)]

    def cgroup_parent(self, pod: Pod) -> str:
        """Return the cgroup a pod was made below, "" when the runtime does not tell or the pod has just gone."""
        try:
            told = self._ask(f"{_RUNTIME}PodSandboxStatus", _text(1, pod.id) + b"\x10\x01")
        except KubedoctorError:
            return ""
        return next((path for text in told.mapping(2).values() for path in _cgroups(text)), "")

    def remove_pod(self, pod: Pod) -> None:
        """End a pod at once and remove it with its network and its containers."""
        self._ask(f"{_RUNTIME}StopPodSandbox", _text(1, pod.id), patience=PATIENCE_END)
        self._ask(f"{_RUNTIME}RemovePodSandbox", _text(1, pod.id), patience=PATIENCE_END)

    def remove_image(self, name: str) -> None:
        """Remove an image by one of its names."""
        image = _text(1, name)
        self._ask(f"{_IMAGE}RemoveImage", b"\x0a" + _varint(len(image)) + image, patience=PATIENCE_END)

    def _ask(self, method: str, request: bytes = b"", *, patience: float = PATIENCE) -> Message:
        try:
            reply = grpc_call(self.socket, method, request, deadline=patience)
            if reply.code == Code.OK:
                return parse_message(reply.body)
        except Absent:
            raise KubedoctorError(f"there is no container runtime at {self.socket}") from None
        except FactError as problem:
            raise KubedoctorError(f"the container runtime does not work: {problem}") from None
        what = method.rpartition("/")[2]
        raise KubedoctorError(f"the container runtime at {self.socket} refuses {what}: {reply.message or reply.code}")


def _pod(told: Message) -> Pod:
    named = told.message(2) or Message()
    return Pod(
        id=told.text(1),
        name=named.text(1),
        namespace=named.text(3),
        of_kubelet=bool(told.mapping(5).get("io.kubernetes.pod.uid")),
        ready=told.number(3) == 0,
    )


def _cgroups(text: str) -> Iterator[str]:
    """Yield what a runtime's own account of a pod says of its cgroup: containerd its request too, CRI-O the result."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        return
    for keys in (("config", "linux", "cgroup_parent"), ("runtimeSpec", "linux", "cgroupsPath")):
        value = document
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            yield value


def _text(number: int, value: str) -> bytes:
    """Return a string as a field of a protobuf message."""
    data = value.encode()
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
