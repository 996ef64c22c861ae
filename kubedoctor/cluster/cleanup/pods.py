"""Pods of this place in a container runtime that is not ours, and the images loaded into it for them."""

from __future__ import annotations

from pathlib import Path

from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.cluster.cri import Pod, Runtime
from kubedoctor.cluster.identity import boot_id
from kubedoctor.components import Cleanup
from kubedoctor.errors import KubedoctorError


def look(cleanup: Cleanup) -> Before:
    """Return the pods that are there: others'."""
    there = tuple(pod.id for pod in Runtime(cleanup.name).pods())
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=there)


def tell(one: Before, record: HostRecord) -> list[str]:
    """Return a line for each pod of this place."""
    if _ended_with_the_machine(one.name, record):
        return []
    return [f"would remove pod {pod} ({pod.id[:13]})" for pod in _ours(Runtime(one.name), one, record)]


def clear(one: Before, record: HostRecord) -> None:
    """Remove each pod of this place: its containers, its network namespace, interface and address."""
    if _ended_with_the_machine(one.name, record):
        return
    runtime = Runtime(one.name)
    problems = []
    for pod in _ours(runtime, one, record):
        try:
            runtime.remove_pod(pod)
        except KubedoctorError as problem:
            problems.append(f"pod {pod} stays: {problem.message}")
    if problems:
        raise KubedoctorError("; ".join(problems))


def _ours(runtime: Runtime, one: Before, record: HostRecord) -> list[Pod]:
    """Return the pods of our kubelet: with its label, come since, and below our cgroup where there is one."""
    found = [pod for pod in runtime.pods() if pod.of_kubelet and pod.id not in one.there]
    if not record.cgroup:
        return found
    # A pod whose cgroup the runtime does not tell has come since our kubelet was the only one here: it is ours.
    return [pod for pod in found if _is_below(runtime.cgroup_parent(pod), record.cgroup)]


def _is_below(parent: str, cgroup: str) -> bool:
    return not parent or parent.strip("/").partition("/")[0] == cgroup


def _ended_with_the_machine(socket: str, record: HostRecord) -> bool:
    """Return whether the machine was started anew and the runtime is gone: then so is all it ran."""
    return record.boot_id != boot_id() and not Path(socket).exists()


# --- images -----------------------------------------------------------------------------------------------------------


def look_at_image(cleanup: Cleanup) -> Before:
    """Return whether the runtime has the image already."""
    there = cleanup.name in Runtime(cleanup.value).images()
    return Before(trace=cleanup.trace.value, name=cleanup.name, value=cleanup.value, was_there=there)


def tell_image(one: Before, record: HostRecord) -> list[str]:
    """Return a line when the image has come."""
    if one.was_there or _ended_with_the_machine(one.value, record):
        return []
    return [f"would remove image {one.name}"] if one.name in Runtime(one.value).images() else []


def clear_image(one: Before, record: HostRecord) -> None:
    """Remove the image, unless it was there before."""
    if tell_image(one, record):
        Runtime(one.value).remove_image(one.name)
