"""The kubelets of a target, and what they are set to: flags count more than drop-ins, those more than the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from kubedoctor import Absent, Context, Instance, host
from kubedoctor_host.facts import KubeletFile, kubelet_drop_ins, kubelet_file, kubelet_file_of

T = TypeVar("T")
NAME = "kubelet"

DEFAULT_EVICTION: Mapping[str, str] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""pkg/kubelet/apis/config/v1beta1/defaults_linux.go; all of them go as soon as one is set, unless it says to merge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """A kubelet that runs, should run, or would be run by `up`."""

    instance: Instance
    fails_on_swap: bool
    swap_behavior: str
    eviction: Mapping[str, str]

    @property
    def where(self) -> str:
        """Which one it is, in words."""
        if self.instance.is_running:
            return f"kubelet (pid {self.instance.pid})"
        return "kubelet"


def kubelets(context: Context) -> Iterator[Kubelet]:
    """Yield the target's kubelets, those too that have ended; raise FactError when one's settings cannot be told."""
    for instance in context.target.all(NAME):
        yield kubelet(context, instance)


def kubelet(context: Context, instance: Instance) -> Kubelet:
    """Return what the kubelet that *instance* is, is set to."""
    layers = list(_layers(context, instance))
    fails = _last([layer.fail_swap_on for layer in layers])
    flag = instance.flag("fail-swap-on")
    if flag:
        fails = flag.lower() not in ("false", "f", "0")
    return Kubelet(
        instance=instance,
        fails_on_swap=True if fails is None else fails,
        swap_behavior=_last([layer.swap_behavior for layer in layers]) or "NoSwap",
        eviction=_eviction(instance, layers),
    )


def _layers(context: Context, instance: Instance) -> Iterator[KubeletFile]:
    path = instance.path("config")
    if path in instance.files:
        document = host.parse_document(instance.files[path].encode(), path)
        yield kubelet_file_of(document if isinstance(document, dict) else {})
    elif path:
        try:
            yield context.get(kubelet_file, path, instance.root)
        except Absent:
            if not instance.planned:
                raise
            yield KubeletFile(fail_swap_on=False)  # in recordings of before `files`
    directory = instance.path("config-dir")
    if directory:
        for drop_in in context.get(kubelet_drop_ins, directory, instance.root):
            yield context.get(kubelet_file, drop_in, instance.root)


def _last(values: list[T | None]) -> T | None:
    return next((value for value in reversed(values) if value is not None), None)


def _eviction(instance: Instance, layers: list[KubeletFile]) -> Mapping[str, str]:
    flag = instance.flag("eviction-hard")
    if flag:
        pairs = (part.partition("<") for part in flag.split(","))
        return {name.strip(): value.strip() for name, _, value in pairs if value.strip()}
    wanted = _last([layer.eviction_hard for layer in layers])
    if not wanted:
        return DEFAULT_EVICTION
    return {**DEFAULT_EVICTION, **wanted} if _last([layer.merges_defaults for layer in layers]) else wanted
