"""Rules of services that nobody keeps any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kubedoctor import (
    Context,
    Evidence,
    FactError,
    Finding,
    Fix,
    NotApplicable,
    Phase,
    Safety,
    Severity,
    TargetKind,
    check,
    host,
    run,
)
from kubedoctor_proxy.mode import other_proxy, proxy_mode
from kubedoctor_proxy.service import PORT, kubernetes_service_missing

_BACKENDS = ("iptables-nft", "iptables-legacy")
_KEEPERS = frozenset(
    {"kubelet", "kube-proxy", "kubelite", "hyperkube", "k3s", "k3s-server", "k3s-agent", "k0s", "rke2"}
)
"""Programs whose rules these are as long as they run, by the name that /proc shows."""


@check(
    "proxy.leftover-rules",
    title="no rules of an earlier kube-proxy are left",
    looks_at="which packet filter tables (iptables-nft, iptables-legacy, nftables) send packets through chains of "
    "kube-proxy or of CNI plugins, and in which mode kube-proxy runs",
    fix="remove the rules of the back end that is not in use",
    seen_as=("services that work from some programs and hang from others", "# Warning: iptables-legacy tables present"),
    of=("kube-proxy", "kubelet", "k3s", "kube-apiserver"),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    severity=Severity.WARNING,
    needs="root",
    tags=("network",),
    deadline=5.0,
)
def leftover_rules(context: Context) -> Iterator[Finding]:
    """Packets pass through the rules of all back ends, and the first that translates an address decides.

    A kube-proxy that changed its mode, was given another iptables, or ended with its cluster leaves rules that nobody
    keeps: they lead service addresses and host ports to pods that are gone. Chains without rules, chains nothing leads
    to, and one-time marks like KUBE-IPTABLES-HINT do no harm and are not told, nor are tables of both iptables back
    ends as such.
    """
    if context.target.kind is TargetKind.MACHINE:
        yield from _without_cluster(context)
        return
    nodes = host.nodes(context.target)
    if not nodes:
        raise NotApplicable("no node of it runs here")
    for node in nodes:
        yield from _beside_proxy(context, node)


def _without_cluster(context: Context) -> Iterator[Finding]:
    ours = context.get(host.our_namespaces).get("net")
    keeper = next(
        (one for one in context.get(host.processes) if one.name in _KEEPERS and one.namespaces.get("net") == ours), None
    )
    if keeper is not None:
        raise NotApplicable(f"{keeper.name} runs here and keeps its rules")
    tables = context.get(host.rule_chains, 0)
    for backend, chains in _in_use(tables).items():
        yield _finding(
            f"{backend} still has rules of kube-proxy, and none runs here: {_shown(chains)}", backend, chains, net=0
        )


def _beside_proxy(context: Context, node: host.Node) -> Iterator[Finding]:
    tables = context.get(host.rule_chains, node.net)
    found = _in_use(tables)
    proxy = next(iter(node.running("kube-proxy")), None)
    other = other_proxy(context.get(host.links, node.net))
    if proxy is not None:
        mode = proxy_mode(context, proxy)
        for backend, chains in _of_another_mode(found, mode).items():
            yield _finding(
                f"kube-proxy works in {mode} mode, and rules of one in another mode are left in {backend}: "
                f"{_shown(chains)}",
                backend,
                chains,
                net=node.net,
                explains=_what_follows(context, node, backend),
            )
    elif other:
        for backend, chains in found.items():
            yield _finding(
                f"{other} makes the services here, and rules of a kube-proxy are left in {backend}: {_shown(chains)}",
                backend,
                chains,
                net=node.net,
            )
    if other or (proxy is not None and proxy_mode(context, proxy) != "iptables"):
        return
    for chain, owner in (("KUBE-SERVICES", "kube-proxy"), ("CNI-HOSTPORT-DNAT", "the CNI plugin portmap")):
        both = _in_use(tables, chain)
        if all(backend in both for backend in _BACKENDS):
            left = _left_backend(tables)
            yield _finding(
                f"rules of {owner} are in iptables-nft and in iptables-legacy, "
                + (f"those in {left} from an earlier one" if left else "and only one of them is kept up"),
                left or _BACKENDS[1],
                both[left or _BACKENDS[1]],
                net=node.net,
                explains=_what_follows(context, node, left) if chain == "KUBE-SERVICES" else (),
            )


def _in_use(tables: Iterable[host.RuleTable], chain: str = "KUBE-SERVICES") -> dict[str, tuple[str, ...]]:
    """Return, for each back end, where packets are sent through *chain*: `ip nat KUBE-SERVICES`, `ip kube-proxy`."""
    found: dict[str, list[str]] = {}
    for table in tables:
        if table.backend == "nftables":
            if table.name == "kube-proxy" and any(one.type == "nat" and one.rules for one in table.base_chains):
                found.setdefault(table.backend, []).append(f"{table.family} {table.name}")
            continue
        if table.name != "nat":
            continue
        called = {name for one in table.base_chains for name in one.calls if one.hook in ("prerouting", "output")}
        # What leads to a chain counts in nf_tables: two jumps, from PREROUTING and OUTPUT.
        empty = 2 if table.backend == "iptables-nft" else 0
        if chain in called and table.chains.get(chain, 0) > empty:
            found.setdefault(table.backend, []).append(f"{table.family} nat {chain}")
    return {backend: tuple(chains) for backend, chains in found.items()}


def _of_another_mode(found: Mapping[str, tuple[str, ...]], mode: str) -> dict[str, tuple[str, ...]]:
    if mode == "nftables":
        return {backend: chains for backend, chains in found.items() if backend != "nftables"}
    return {backend: chains for backend, chains in found.items() if backend == "nftables"}


def _left_backend(tables: Iterable[host.RuleTable]) -> str:
    """Return the iptables back end that a kubelet or kube-proxy did not choose, "" when that cannot be told.

    Both leave an empty chain in the mangle table of the back end they use, which is what the iptables wrapper of
    kube-proxy's image looks for.
    """
    marks = {"KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-PROXY-CANARY"}
    chosen = {one.backend for one in tables if one.name == "mangle" and not marks.isdisjoint(one.chains)}
    left = [backend for backend in _BACKENDS if backend not in chosen]
    return left[0] if len(left) == 1 else ""


def _what_follows(context: Context, node: host.Node, backend: str) -> tuple[str, ...]:
    """Return the check of the service `kubernetes` where rules of *backend*, which are left over, lead its address."""
    try:
        network = host.service_network(context)
        rules = context.get(host.service_rules, node.net, network.address, PORT) if network is not None else None
    except FactError:  # then that check does not see them either
        return ()
    ways = (*rules.arriving, *rules.leaving) if rules is not None else ()
    leads = any(way.backend == backend and way.endpoints for way in ways)
    return (kubernetes_service_missing.id,) if leads else ()


def _finding(
    message: str, backend: str, chains: tuple[str, ...], *, net: int, explains: tuple[str, ...] = ()
) -> Finding:
    place = f" in the network namespace of process {net}" if net else ""
    return Finding(
        message=message,
        subject=backend,
        evidence=(
            Evidence(
                source=f"tables of {backend}{place}",
                observed=f"packets are sent through {_shown(chains)}",
                expected="no chain of kube-proxy, or none that packets are sent through",
            ),
        ),
        fixes=(_disarm(backend, chains, net),),
        explains=explains,
    )


def _disarm(backend: str, chains: tuple[str, ...], net: int) -> Fix:
    if backend == "nftables":
        return Fix(
            summary="delete the tables of the kube-proxy that is gone",
            safety=Safety.DISRUPTIVE,
            steps=tuple(run("nft", "delete", "table", *chain.split(), within=net) for chain in chains),
        )
    command = {"ip": backend, "ip6": backend.replace("iptables", "ip6tables")}
    return Fix(
        summary="empty the chain that nobody keeps up",
        safety=Safety.DISRUPTIVE,
        steps=tuple(
            run(command[family], "-t", table, "-F", name, within=net) for family, table, name in map(str.split, chains)
        ),
    )


def _shown(chains: tuple[str, ...]) -> str:
    words = [one.split() for one in chains]
    return ", ".join(f"{one[2]} in {one[0]} {one[1]}" if len(one) > 2 else f"table {' '.join(one)}" for one in words)
