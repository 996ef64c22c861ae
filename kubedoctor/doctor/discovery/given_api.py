"""An API that is known by a kubeconfig: whose it is, if the cluster is one of those that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kubedoctor.doctor.discovery.addresses import Endpoint, api_address, is_loopback, meets
from kubedoctor.doctor.discovery.grouping import API
from kubedoctor.facts import FactError, Look
from kubedoctor.host import printable
from kubedoctor.targets import Target


def with_api(look: Look, clusters: Sequence[Target], apis: Sequence[Target]) -> tuple[Target, ...]:
    """Return *clusters* with the kubeconfigs of *apis* that lead to them, and those of *apis* that lead elsewhere."""
    found = list(clusters)
    for api in apis:
        server, problem = _server(look, api.kubeconfig)
        if server is None:
            found.append(replace(api, notes=(*api.notes, problem)))
            continue
        place = next((place for place, one in enumerate(found) if _leads_to(look, server, api.kubeconfig, one)), None)
        if place is not None:
            found[place] = replace(found[place], kubeconfig=api.kubeconfig)
        else:
            host = f"[{server.host}]" if ":" in server.host else server.host
            found.append(replace(api, id=f"api {host}:{server.port}", title=f"API at {host}:{server.port}"))
    return tuple(found)


def _server(look: Look, path: str) -> tuple[Endpoint | None, str]:
    from kubedoctor.host.kubeconfigs import kubeconfig  # brings cryptography

    try:
        config = look.get(kubeconfig, path, 0)
    except FactError as problem:
        return None, f"the API is not asked: {problem.reason}"
    cluster = config.cluster
    if cluster is None or not cluster.host:
        return None, f"the API is not asked: {printable(path)}: {next(iter(config.problems), 'it names no server')}"
    return Endpoint(host=cluster.host, port=cluster.port), ""


def _leads_to(look: Look, server: Endpoint, path: str, target: Target) -> bool:
    if target.kubeconfig:
        own, _ = (server, "") if target.kubeconfig == path else _server(look, target.kubeconfig)
        if own is not None and own.port == server.port and meets(server, own):
            return True
    listening = [api_address(one) for one in target.all(*API) if not one.net]
    return any(one is not None and _is_here(look, server) and meets(server, one) for one in listening)


def _is_here(look: Look, server: Endpoint) -> bool:
    """Return whether the address is one of this machine's."""
    if is_loopback(server.host):
        return True
    from kubedoctor.host.interfaces import addresses

    try:
        return any(server.host == one.address for one in look.get(addresses, 0))
    except FactError:
        return False
