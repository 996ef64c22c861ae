"""Objects of Kubernetes that tests apply: short to write, with the probe as their program."""

from __future__ import annotations

from typing import Any

from support.images import PROBE

Object = dict[str, Any]

SCRATCH = {"name": "data", "emptyDir": {}}
"""A volume of the pod's own, which `container` mounts at /data."""


def container(*command: str, name: str = "c", **fields: Any) -> Object:
    """Return a container that runs a command of the probe, with /data mounted."""
    mounts = [{"name": "data", "mountPath": "/data"}, *fields.pop("volumeMounts", [])]
    given = {"name": name, "image": PROBE.name, "imagePullPolicy": "Never", "command": [PROBE.path, *command]}
    return {**given, "volumeMounts": mounts, **fields}


def pod(name: str, *containers: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """Return a Pod that ends at once when it is deleted; *spec* is laid over what it has otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": pod_spec(*containers, **spec),
    }


def pod_spec(*containers: Object, **spec: Any) -> Object:
    """Return the spec of a pod, as workloads have it in their templates."""
    volumes = {volume["name"]: volume for volume in (SCRATCH, *spec.pop("volumes", []))}
    given = {"containers": list(containers), "terminationGracePeriodSeconds": 0, "volumes": list(volumes.values())}
    return {**given, **spec}


def workload(kind: str, name: str, spec: Object, *containers: Object, **pod_fields: Any) -> Object:
    """Return a Deployment, DaemonSet or StatefulSet of pods with the label app=*name*."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(*containers, **pod_fields)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def job(name: str, spec: Object, one: Object) -> Object:
    """Return a Job of pods with one container, never restarted."""
    template = {"spec": pod_spec(one, restartPolicy="Never")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": template},
    }


def service(name: str, ports: list[Object], **spec: Any) -> Object:
    """Return a Service in front of the pods with the label app=*name*."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def claim(name: str, size: str = "1Mi") -> Object:
    """Return a claim of a volume of the default class."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
