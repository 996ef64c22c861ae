"""What can be wrong with routes and interfaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from kubedoctor import (
    Check,
    Context,
    Evidence,
    Finding,
    Fix,
    Instance,
    NotApplicable,
    Phase,
    Safety,
    Severity,
    check,
    host,
    run,
)

_CHOOSE = {"kube-apiserver": "advertise-address", "k3s": "advertise-address", "kubelet": "node-ip"}
"""Components that take the address of the default route, and the flag that spares them it."""
ADDRESSES = "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/"


@check(
    "network.no-default-route",
    title="there is a default route, or nobody needs it",
    looks_at="the routes where kube-apiserver, kubelet and kube-proxy run or would run, and the flags that name their "
    "addresses; a sandbox of ours has routes of its own, whatever the machine has",
    fix="add a default route, or name the addresses: --advertise-address, --node-ip",
    seen_as=(
        "no default routes found in /proc/net/route or /proc/net/ipv6_route",
        "unable to find suitable network address",
        "dial tcp 10.0.0.1:443: connect: network is unreachable",
    ),
    of=(*_CHOOSE, "kube-proxy"),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("network",),
)
def no_default_route(context: Context) -> Iterator[Finding]:
    """Kube-apiserver and kubelet take the address of the default route's interface, unless they are told another one.

    Without it kube-apiserver ends at once. On a node that works otherwise, programs that run on the machine itself
    cannot reach services: no route says where to send their packets, so they never come to the rules that would lead
    them on. Packets of pods do.
    """
    instances = context.target.all(*_CHOOSE, "kube-proxy")
    needy = [one for one in instances if _chooses_address(one)]
    nodes = {node.net: node for node in host.nodes(context.target)}
    if not needy and not nodes:
        raise NotApplicable("what runs here is told its addresses; a sandbox has routes of its own")
    for net in dict.fromkeys([*(one.net for one in needy), *nodes]):
        routes = context.get(host.routes, net)
        if host.default_routes(routes, 4) or host.default_routes(routes, 6):
            continue
        for one in needy:
            if one.net == net:
                yield _no_address(one, routes)
        if net in nodes:
            yield from _unreachable_services(context, net, routes)


def _chooses_address(instance: Instance) -> bool:
    if instance.name not in _CHOOSE or instance.flag(_CHOOSE[instance.name]):
        return False
    if instance.name == "k3s" and instance.flag("node-ip"):
        return False
    bound = instance.flag("bind-address") if instance.name == "kube-apiserver" else ""
    try:
        address = ipaddress.ip_address(bound)
    except ValueError:
        return True
    return address.is_unspecified or address.is_loopback  # what it would advertise cannot be either


def _no_address(instance: Instance, routes: tuple[host.Route, ...]) -> Finding:
    flag = _CHOOSE[instance.name]
    if instance.is_running:
        message = f"there is no default route, and {instance.name} needs one to find its address when it starts again"
    elif instance.name == "kubelet":
        message = "there is no default route, and kubelet has no other way to find its address but its host name"
    else:
        message = f"there is no default route, so {instance.name} finds no address to advertise, and ends"
    is_certain = instance.name != "kubelet" and not instance.is_running
    return Finding(
        message=message,
        subject=f"{instance.name} --{flag}",
        severity=None if is_certain else Severity.WARNING,
        evidence=(
            _evidence(instance.net, routes),
            Evidence(source=f"command line of {instance.name} ({instance.source})", observed=f"no --{flag}"),
        ),
        fixes=(
            Fix(summary="add a default route: ip route add default via ADDRESS"),
            Fix(summary=f"name the address: --{flag}", link=ADDRESSES),
        ),
    )


def _unreachable_services(context: Context, net: int, routes: tuple[host.Route, ...]) -> Iterator[Finding]:
    network = host.service_network(context)
    if network is None:
        return
    route = host.route_to(routes, network.address)
    if route is not None and route.kind == "unicast":
        return
    what = network.network or network.address
    yield Finding(
        message=f"there is no default route and none to {what}, so programs on the machine itself reach no service",
        subject=f"route to {what}",
        evidence=(_evidence(net, routes),),
        fixes=(
            *_route_by(_interface(routes), what, net),
            Fix(summary="add a default route: ip route add default via ADDRESS"),
        ),
    )


def _interface(routes: tuple[host.Route, ...]) -> str:
    """Return the interface of the node's own network; empty when there are several, or none."""
    own = {one.link for one in routes if one.source and one.link and one.kind == "unicast" and not one.gateway}
    return own.pop() if len(own) == 1 else ""


def _route_by(interface: str, network: str, net: int) -> Iterator[Fix]:
    if not interface:
        how = f"ip route add {network} dev INTERFACE, with the interface of the node"
        yield Fix(summary=f"add a route for services: {how}")
        return
    route = ("ip", "route", "replace", network, "dev", interface)
    undo = ("ip", "route", "del", network, "dev", interface)
    yield Fix(summary="add a route for services", safety=Safety.SAFE, steps=(run(*route, undo=undo, within=net),))


def _evidence(net: int, routes: tuple[host.Route, ...]) -> Evidence:
    shown = [f"{one.destination} dev {one.link}" if one.link else one.destination for one in routes[:5]]
    return Evidence(
        source=f"routes in the network namespace of process {net}" if net else "routes of this machine",
        observed=", ".join(shown) or "none",
        expected="0.0.0.0/0",
    )


CHECKS: tuple[Check, ...] = (no_default_route,)
