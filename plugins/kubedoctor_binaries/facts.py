"""Which versions run, as they say themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kubedoctor import Denied, Look, Malformed, Silent, fact, host

MOST = 500
"""Nodes that are looked at."""
_BODY = 16 << 20


@fact("binaries.reported-version")
def reported_version(look: Look, url: str, net: int, identity: host.Identity) -> str:
    """The version that /version of kube-apiserver or etcd tells; raise Denied, Silent, Malformed."""
    del look
    answer = host.http_request(url, net=net, tls=identity.tls())
    if answer.status in (401, 403):
        raise Denied(f"{url} tells its version to others only")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    version = (told.get("gitVersion") or told.get("etcdserver")) if isinstance(told, dict) else None
    if answer.status != 200 or not isinstance(version, str):
        raise Malformed(f"{url} tells no version")
    return host.printable(version)


@fact("binaries.kubelet-versions")
def kubelet_versions(look: Look, kubeconfig: str) -> Mapping[str, str]:
    """The version of each node's kubelet, by the node's name, as an administrator's kubeconfig sees them."""
    del look
    reply, document, _ = host.ask_api(kubeconfig, 0, 0, f"/api/v1/nodes?limit={MOST}", limit=_BODY)
    if reply.is_refusal:
        raise Denied(f"needs an administrator's kubeconfig to list nodes: {reply.message}")
    if reply.status != 200:
        raise Silent(f"the nodes are not told: {reply.message or reply.status}")
    found = {}
    for node in host.api_items(document):
        name, version = host.at(node, "metadata", "name"), host.at(node, "status", "nodeInfo", "kubeletVersion")
        if isinstance(name, str) and isinstance(version, str):
            found[host.printable(name)] = host.printable(version)
    return found
