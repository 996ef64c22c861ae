"""What a kube-scheduler is told in its file, and what it leaves undone."""

from __future__ import annotations

from dataclasses import dataclass

from kubedoctor import Look, fact, host

MOST = 200
"""Pods that are looked at."""
_BODY = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a configuration file of kube-scheduler says; empty where it is silent."""

    kubeconfig: str = ""
    elects: bool | None = None
    lease: str = ""
    namespace: str = ""
    schedulers: tuple[str, ...] = ()  # the names of its profiles


@fact("scheduler.settings")
def settings(look: Look, path: str, root: int) -> Settings:
    """What of a configuration file of kube-scheduler tells whether it works: kubeconfig, leader election, profiles."""
    del look
    document = host.parse_document(host.read_file(path, root=root, limit=256 << 10), host.printable(path))
    election = host.at(document, "leaderElection")
    elects = host.at(election, "leaderElect")
    profiles = host.at(document, "profiles")
    names = [host.at(one, "schedulerName") for one in profiles] if isinstance(profiles, list) else []
    return Settings(
        kubeconfig=_text(host.at(document, "clientConnection", "kubeconfig")),
        elects=elects if isinstance(elects, bool) else None,
        lease=_text(host.at(election, "resourceName")),
        namespace=_text(host.at(election, "resourceNamespace")),
        schedulers=tuple(name for name in names if isinstance(name, str)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Pods that no scheduler has looked at: their names, and the seconds that the longest of them has waited."""

    reply: host.ApiReply
    pods: tuple[str, ...] = ()
    waited: float = 0.0


@fact("scheduler.waiting-pods")
def waiting_pods(look: Look, kubeconfig: str, root: int, net: int, scheduler: str, least: float) -> Waiting:
    """The pods for *scheduler* that have neither a node nor a word of why not, for *least* seconds, of the first 200.

    A scheduler that finds no node says so in the pod's condition `PodScheduled`.
    """
    del look
    selected = f"spec.nodeName%3D,status.phase%3DPending,spec.schedulerName%3D{scheduler}"
    path = f"/api/v1/pods?limit={MOST}&fieldSelector={selected}"
    reply, document, now = host.ask_api(kubeconfig, root, net, path, limit=_BODY)
    if reply.status != 200 or not now:
        return Waiting(reply=reply)
    unseen = [pod for pod in host.api_items(document) if _created(pod) and not _is_considered(pod)]
    ages = {_name(pod): now - _created(pod) for pod in unseen}
    late = {name: age for name, age in ages.items() if age >= least}
    return Waiting(reply=reply, pods=tuple(sorted(late)), waited=max(late.values(), default=0.0))


def _is_considered(pod: host.Value) -> bool:
    conditions = host.at(pod, "status", "conditions")
    return isinstance(conditions, list) and any(host.at(one, "type") == "PodScheduled" for one in conditions)


def _created(pod: host.Value) -> float:
    return host.api_time(host.at(pod, "metadata", "creationTimestamp"))


def _name(pod: host.Value) -> str:
    return host.printable(f"{host.at(pod, 'metadata', 'namespace')}/{host.at(pod, 'metadata', 'name')}")


def _text(value: host.Value) -> str:
    return value if isinstance(value, str) else ""
