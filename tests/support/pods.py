"""Objects of Kubernetes made of the probe image, and waiting for them."""

from __future__ import annotations

from typing import Any

from support.clusters import kubectl
from support.command import Kubedoctor
from support.images import PROBE


def pod(name: str, *command: str, **fields: Any) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": PROBE.name,
        "imagePullPolicy": "Never",
        "command": [PROBE.path, *command],
        **fields.pop("container", {}),
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, **fields.pop("spec", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **fields}, "spec": spec}


def deployment(name: str, replicas: int, *command: str) -> dict[str, Any]:
    template = pod(name, *command)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
        },
    }


def applied(cli: Kubedoctor, *objects: dict[str, Any]) -> None:
    done = kubectl(cli, "apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": list(objects)})
    assert done.status == 0, done.err


def ready(cli: Kubedoctor, what: str, condition: str = "condition=Ready") -> None:
    done = kubectl(cli, "wait", f"--for={condition}", what, "--timeout=50s")
    assert done.status == 0, done.err + kubectl(cli, "describe", what).out[-2000:]


def inside(cli: Kubedoctor, name: str, *command: str) -> str:
    done = kubectl(cli, "exec", name, "--", PROBE.path, *command)
    assert done.status == 0, done.err
    return done.out
