"""What to do about a certificate, by whoever made the cluster."""

from __future__ import annotations

import posixpath

from kubedoctor import Fix, Safety, Step, StepKind, Target, TargetKind, run
from kubedoctor_certs.sources import Source, Use
from kubedoctor_certs.tables import COMPONENTS, KUBEADM

KUBEADM_DOCS = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/"
_OF_KUBECONFIG = {"admin": "client-admin", "controller": "client-controller", "scheduler": "client-scheduler"}
_KUBEADM_NAMES = {
    "pki/etcd/server.crt": "etcd-server",
    "pki/etcd/peer.crt": "etcd-peer",
    "pki/etcd/healthcheck-client.crt": "etcd-healthcheck-client",
}


def renewal(target: Target, source: Source, who: str, use: Use) -> Fix:
    """Return how the certificate at *source* is issued anew for *who*, with its key and its names."""
    restart = (Step(kind=StepKind.RESTART_COMPONENT, component=who),) if who in COMPONENTS else ()
    if target.kind is TargetKind.KUBEDOCTOR and (name := _our_name(target, source)):
        option = () if cluster_name(target) == "local" else ("--name", cluster_name(target))
        step = run("kubedoctor", "certs", "renew", *option, name)
        return Fix(summary=f"renew {name}", safety=Safety.DISRUPTIVE, steps=(step, *restart))
    if target.kind is TargetKind.KUBEADM and use is not Use.SIGNER and (name := _kubeadms_name(source)):
        return Fix(
            summary=f"renew {name} and restart its static pod",
            safety=Safety.DISRUPTIVE,
            steps=(run("kubeadm", "certs", "renew", name), *restart),
            link=KUBEADM_DOCS,
        )
    if target.kind is TargetKind.LOCAL_UP_CLUSTER:
        return Fix(summary="start local-up-cluster.sh again without REUSE_CERTS: it makes new ones")
    if use is Use.SIGNER:
        return Fix(summary=f"make a new authority in place of {source}, and issue anew all it signed")
    then = f", and restart {who}" if who in COMPONENTS else ""
    return Fix(summary=f"issue the certificate in {source} anew{then}")


def cluster_name(target: Target) -> str:
    """Return the name of a cluster of ours."""
    return posixpath.basename(target.directory) or "local"


def _our_name(target: Target, source: Source) -> str:
    """Return what `kubedoctor certs` calls the certificate; empty for one it did not make."""
    directory, _, file = source.path.rpartition("/")
    if source.part:
        in_ours = directory == posixpath.join(target.directory, "kubeconfig")
        return _OF_KUBECONFIG.get(file, f"client-{file}") if in_ours else ""
    # CERT_DIR may have moved them anywhere; their names stay.
    ours = f"{directory}/".startswith(f"{target.directory}/") or file.startswith(("serving-", "client-"))
    return file.removesuffix(".crt") if ours and file.endswith(".crt") else ""


def _kubeadms_name(source: Source) -> str:
    """Return what `kubeadm certs renew` calls the certificate; empty for one it does not renew."""
    path = source.path.removeprefix(f"{KUBEADM}/")
    if path == source.path or path == "kubelet.conf":
        return ""
    if path.endswith(".conf") and "/" not in path:
        return path
    name = path.removeprefix("pki/")
    return _KUBEADM_NAMES.get(path, name.removesuffix(".crt") if name.endswith(".crt") and "/" not in name else "")
