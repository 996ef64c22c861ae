"""Volumes for claims: the class `standard`, and the program that makes them.

The host path provisioner of kube-controller-manager writes below the machine's /tmp and sets no owner, so a program of
our own does it: volumes lie with the cluster's data, outlive `down`, and go with `down --delete`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kubedoctor import Authority, Certificate, ClusterConfig, Component, Found, Kind, Kubeconfig, Manifest, Source, Stop

NAME = "volumes"
PYTHON = "kubedoctor-python"
USER = "system:kubedoctor:volumes"
_PROGRAM = Path(__file__).with_name("provisioner.py")
_PROVISIONER = "kubedoctor.dev/local"


def local_volumes(config: ClusterConfig) -> Component:
    """Return what makes volumes for claims: directories of this node."""
    return Component(
        name=NAME,
        kind=Kind.NODE,
        binary=PYTHON,
        arguments=("-I", str(_PROGRAM)),
        operands=(
            f"--kubeconfig={config.kubeconfig(NAME)}",
            f"--directory={config.data(NAME)}",
            f"--node={config.node_name}",
        ),
        certificates=(Certificate(name="client-volumes", authority=Authority.CLIENT, common_name=USER, client=True),),
        kubeconfigs=(Kubeconfig(name=NAME, certificate="client-volumes"),),
        # It makes its directory itself: one that is made for a component ties the data to the component's version.
        data=(config.data(NAME),),
        after=("kube-apiserver",),
        stop=Stop(timeout=1.0),
    )


def python(name: str) -> list[Found]:
    """Return the interpreter we run in, when it is *name* that is looked for."""
    return [Found(path=sys.executable, source=Source.PATH)] if name == PYTHON else []


def storage_class() -> Manifest:
    """Return the default class and the right to make its volumes.

    They are made at once, as the class of local-up-cluster.sh would have them, not when a pod comes.
    """
    group = "rbac.authorization.k8s.io"
    return Manifest(
        name="storage",
        objects=(
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": USER},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:persistent-volume-provisioner"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
            },
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": "standard",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": _PROVISIONER,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            },
        ),
        needs=(NAME,),
    )
