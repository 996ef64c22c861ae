"""What a cluster that was found is: whose, by which name, and with which administrator's kubeconfig."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kubedoctor.doctor.discovery.addresses import api_address, etcd_clients
from kubedoctor.doctor.discovery.grouping import API, Cluster
from kubedoctor.doctor.discovery.layouts import (
    K0S_DIRECTORY,
    KUBERNETES_DIRECTORY,
    LOCAL_UP_DIRECTORY,
    Layout,
    layout_of,
)
from kubedoctor.facts import Absent, FactError, Look, fact
from kubedoctor.host import printable, read_file, user_name
from kubedoctor.targets import Instance, Target, TargetKind

_TITLES = {
    TargetKind.KUBEADM: "kubeadm cluster",
    TargetKind.LOCAL_UP_CLUSTER: "cluster of local-up-cluster.sh",
    TargetKind.K3S: "k3s",
    TargetKind.K0S: "k0s",
}


@fact("targets.readable")
def readable(look: Look, path: str, root: int) -> bool:
    """That a file is there and can be read; raise Absent, Denied, Malformed otherwise."""
    del look
    read_file(path, root=root)
    return True


def describe(look: Look, cluster: Cluster) -> Target:
    """Return the target that the cluster is; its id need not be the only one of its kind yet."""
    layout = _layout(cluster)
    instances = tuple(one.instance for one in sorted(cluster.members, key=lambda one: _order(one.instance)))
    kubeconfig, notes = _kubeconfig(look, layout, cluster, instances)
    return Target(
        id=printable(_id(look, layout, instances)),
        kind=layout.kind,
        title=printable(_title(look, layout, cluster, instances)),
        instances=instances,
        kubeconfig=kubeconfig,
        directory=layout.directory,
        notes=tuple(dict.fromkeys([*cluster.notes, *_unseen(cluster), *notes])),
    )


_FIRST = ("k3s", "k0s", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def _order(instance: Instance) -> tuple[int, str, tuple[str, ...], int]:
    position = _FIRST.index(instance.name) if instance.name in _FIRST else len(_FIRST)
    return position, instance.name, instance.argv, instance.pid


def _layout(cluster: Cluster) -> Layout:
    """Return whose cluster it is: the API server's layout counts before those of the others."""
    if cluster.layout is not None:
        return cluster.layout
    for members in (cluster.all(*API), cluster.members):
        found = Counter(layout for one in members if (layout := layout_of(one.instance)) is not None)
        if found:
            return max(found, key=lambda layout: (found[layout], layout.kind, layout.directory))
    return Layout(TargetKind.OTHER)


def _id(look: Look, layout: Layout, instances: tuple[Instance, ...]) -> str:
    if layout.kind is TargetKind.KUBEDOCTOR:
        return f"{layout.name} in {layout.directory.rpartition('/clusters/')[0]}"
    if layout.name:
        return f"{layout.kind} {layout.name}"
    return f"{layout.kind} {_where(look, instances)}" if layout.kind is TargetKind.OTHER else str(layout.kind)


def _where(look: Look, instances: tuple[Instance, ...]) -> str:
    port = _api_port(instances) or min(_etcd_ports(look, instances), default=0)
    return f":{port}" if port else next((one.name for one in instances), "")


def _api_port(instances: tuple[Instance, ...]) -> int:
    addresses = (api_address(one) for one in instances if one.name in API)
    return next((address.port for address in addresses if address), 0)


def _etcd_ports(look: Look, instances: tuple[Instance, ...]) -> Iterator[int]:
    yield from (one.port for etcd in instances if etcd.name == "etcd" for one in etcd_clients(look, etcd) if one.port)


def _title(look: Look, layout: Layout, cluster: Cluster, instances: tuple[Instance, ...]) -> str:
    names = ", ".join(dict.fromkeys(one.name for one in instances))
    if layout.kind is TargetKind.KUBEDOCTOR:
        home = layout.directory.rpartition("/clusters/")[0]
        return f"cluster {layout.name} of {user_name(max(one.uid for one in instances))}, in {home}"
    if layout.kind is TargetKind.KWOKCTL:
        title = f"kwokctl cluster {layout.name}"
    elif layout.kind is TargetKind.OTHER and not cluster.has(*API):
        title = names
    else:
        title = _TITLES.get(layout.kind, "cluster started by hand")
    if port := _api_port(instances):
        title += f", API at port {port}"
    elif port := min(_etcd_ports(look, instances), default=0):
        title += f" at port {port}" if title == "etcd" else f", etcd at port {port}"
    return title if not cluster.members or "ours" in cluster.homes else f"{title}, in a network namespace of its own"


def _unseen(cluster: Cluster) -> Iterator[str]:
    names = dict.fromkeys(one.instance.name for one in cluster.members if not one.seen)
    if names:
        yield f"needs root to look into {', '.join(names)}: their environment, files and network are not seen"


def _kubeconfig(look: Look, layout: Layout, cluster: Cluster, instances: tuple[Instance, ...]) -> tuple[str, list[str]]:
    """Return the administrator's kubeconfig if it can be read, and why not if not.

    In a container there may be one as well, with addresses that mean nothing here, so it is not taken.
    """
    reachable = not cluster.members or "ours" in cluster.homes or layout.kind is TargetKind.KUBEDOCTOR
    candidates = list(_candidates(layout, instances)) if reachable else []
    for path in candidates:
        try:
            look.get(readable, path, 0)
        except Absent:
            continue
        except FactError as problem:
            return "", [f"the API is not asked: {problem.reason}"]
        return path, []
    return "", []


def _candidates(layout: Layout, instances: tuple[Instance, ...]) -> Iterator[str]:
    if layout.kind is TargetKind.KUBEADM:
        yield from (f"{KUBERNETES_DIRECTORY}/{name}" for name in ("admin.conf", "super-admin.conf"))
    elif layout.kind is TargetKind.LOCAL_UP_CLUSTER:
        directories = [one.flag("cert-dir") for one in instances if one.name in API]
        yield f"{next(filter(None, directories), LOCAL_UP_DIRECTORY)}/admin.kubeconfig"
    elif layout.kind is TargetKind.K3S:
        yield next((one.flag("write-kubeconfig") for one in instances if one.flag("write-kubeconfig")), _K3S_KUBECONFIG)
    elif layout.kind is TargetKind.K0S:
        directories = [one.flag("data-dir") for one in instances if one.name == "k0s"]
        yield f"{next(filter(None, directories), K0S_DIRECTORY)}/pki/admin.conf"
    elif layout.kind is TargetKind.KWOKCTL:
        yield f"{layout.directory}/kubeconfig.yaml"
    elif layout.kind is TargetKind.KUBEDOCTOR:
        yield f"{layout.directory}/kubeconfig/admin"


_K3S_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
