"""What is left undone where no controller works."""

from __future__ import annotations

from dataclasses import dataclass

from kubedoctor import Look, fact, host

MOST = 200
"""Objects of a kind that are looked at."""
_BODY = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What waits for kube-controller-manager: names of objects, and the seconds that the longest of them has waited.

    `reply` is how the API answered whoever asked: the first that was no yes, else the last. `times`: it told its time,
    without which nothing is known to be late.
    """

    reply: host.ApiReply
    deployments: tuple[str, ...] = ()  # changed, and not looked at since
    namespaces: tuple[str, ...] = ()  # without the ServiceAccount `default`
    waited: float = 0.0
    times: bool = True


@fact("controllers.undone")
def undone(look: Look, kubeconfig: str, root: int, net: int, least: float) -> Undone:
    """What kube-controller-manager should have done for *least* seconds, as far as the first 200 of each kind show."""
    del look
    parts = {}
    now = 0.0
    reply = host.ApiReply()
    for name, path in {
        "namespaces": "/api/v1/namespaces",
        "accounts": "/api/v1/serviceaccounts",
        "deployments": "/apis/apps/v1/deployments",
    }.items():
        query = "&fieldSelector=metadata.name%3Ddefault" if name == "accounts" else ""
        reply, document, now = host.ask_api(kubeconfig, root, net, f"{path}?limit={MOST}{query}", limit=_BODY)
        if reply.status != 200:
            return Undone(reply=reply)
        parts[name] = host.api_items(document)
        is_cut = bool(host.at(document, "metadata", "continue"))
        if name == "accounts" and is_cut:  # more namespaces than are looked at: who lacks one cannot be told
            parts["namespaces"] = []
    if not now:
        return Undone(reply=reply, times=False)
    late = {_name(one): now - _changed(one) for one in parts["deployments"] if _changed(one) and _is_unobserved(one)}
    have = {host.at(one, "metadata", "namespace") for one in parts["accounts"]}
    lacking = {
        _name(one): now - host.api_time(host.at(one, "metadata", "creationTimestamp"))
        for one in parts["namespaces"]
        if host.at(one, "status", "phase") == "Active" and host.at(one, "metadata", "name") not in have
    }
    return Undone(
        reply=reply,
        deployments=tuple(sorted(name for name, age in late.items() if age >= least)),
        namespaces=tuple(sorted(name for name, age in lacking.items() if age >= least)),
        waited=max((age for age in (*late.values(), *lacking.values()) if age >= least), default=0.0),
    )


def _is_unobserved(deployment: host.Value) -> bool:
    wanted = host.at(deployment, "metadata", "generation")
    seen = host.at(deployment, "status", "observedGeneration") or 0
    return isinstance(wanted, int) and isinstance(seen, int) and seen < wanted


def _changed(one: host.Value) -> float:
    """Return when an object was last written, by the server's clock."""
    entries = host.at(one, "metadata", "managedFields")
    times = [host.api_time(host.at(entry, "time")) for entry in entries] if isinstance(entries, list) else []
    return max([host.api_time(host.at(one, "metadata", "creationTimestamp")), *times])


def _name(one: host.Value) -> str:
    namespace, name = host.at(one, "metadata", "namespace"), host.at(one, "metadata", "name")
    return host.printable("/".join(part for part in (namespace, name) if isinstance(part, str)))
