"""Whether the service `kubernetes` leads anywhere, and to a kube-apiserver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import (
    Context,
    Denied,
    Evidence,
    Finding,
    Fix,
    Instance,
    Malformed,
    NotApplicable,
    Safety,
    Severity,
    Step,
    StepKind,
    TargetKind,
    check,
    host,
    run,
)
from kubedoctor_proxy.mode import has_made_rules, other_proxy, uses_ipvs

PORT = 443
VIRTUAL_ADDRESSES = "https://kubernetes.io/docs/reference/networking/virtual-ips/"
STARTING = 30.0
"""Seconds after its start in which a kube-proxy may have made no rules yet: it waits that long for its node."""
_MOST_TRIED = 8
_MOST_DEAD = 3
"""Endpoints that are tried in vain, two seconds each."""
_ITS_CHAINS = ("KUBE-", "service-", "endpoint-")


@check(
    "proxy.kubernetes-service-missing",
    title="the service `kubernetes` leads to a live kube-apiserver",
    looks_at="the packet filter rules (iptables-nft, iptables-legacy, nftables) that a connection from a pod or from "
    "this machine to the first service address, port 443, comes through, and whether a kube-apiserver answers where "
    "they lead to",
    fix="start or restart kube-proxy; remove rules of others that catch the address before kube-proxy's",
    seen_as=(
        "dial tcp 10.96.0.1:443: i/o timeout",
        "dial tcp 10.0.0.1:443: connect: network is unreachable",
        "plugin/kubernetes: Failed to watch",
        "pods that cannot reach any service while the node is Ready and no log says a word",
    ),
    of=("kube-proxy", "kubelet", "k3s"),
    requires=("apiserver.not-ready",),
    needs="root",
    tags=("network",),
    deadline=10.0,
)
def kubernetes_service_missing(context: Context) -> Iterator[Finding]:
    """Pods reach the API at the first address of the service range, which is no machine's: rules translate it.

    kube-proxy makes them, and nothing in the API shows when they are gone or wrong: nodes are Ready, pods Running. A
    firewall that flushes the NAT table takes them away, and kube-proxy does not notice as long as its chains are there.
    Rules of an earlier cluster, or of another tool, catch the address when they stand first.
    """
    nodes = host.nodes(context.target)
    if not nodes:
        raise NotApplicable("no node of it runs here")
    network = host.service_network(context)
    if network is None:
        raise Malformed("nothing here says what the address of the service `kubernetes` is")
    for node in nodes:
        yield from _Path(context, node, network.address).findings()


@dataclass(frozen=True, slots=True)
class _Path:
    """The way to the service `kubernetes` on one node."""

    context: Context
    node: host.Node
    address: str

    @property
    def service(self) -> str:
        return f"[{self.address}]:{PORT}" if ":" in self.address else f"{self.address}:{PORT}"

    def findings(self) -> Iterator[Finding]:
        links = self.context.get(host.links, self.node.net)
        if uses_ipvs(links):
            raise Malformed("services are in the tables of IPVS, which are not read")
        rules = self.context.get(host.service_rules, self.node.net, self.address, PORT)
        other = other_proxy(links)
        if not rules.endpoints and other and not self.node.running("kube-proxy"):
            raise NotApplicable(f"services are made by {other}, not by packet filter rules")
        ways = {"pods": rules.arriving, "this machine": rules.leaving}
        missing = [who for who, own in ways.items() if not any(way.endpoints for way in own)]
        refused = next((way for who in missing for way in ways[who]), None)
        if refused is not None:
            yield self._refused(refused)
        elif missing:
            yield self._missing(missing if len(missing) < len(ways) else [], rules)
        yield from self._unanswered(rules)

    # --- nothing leads anywhere ---------------------------------------------------------------------------------------

    def _missing(self, who: list[str], rules: host.ServiceRules) -> Finding:
        proxy = next(iter(self.node.running("kube-proxy", "k3s")), None)
        what = f"no rule leads {self.service}, the service `kubernetes`, to a kube-apiserver"
        severity = None
        if who:
            message = f"{what} for connections from {who[0]}"
        elif proxy is None:
            message = f"kube-proxy does not run, so no service works: {what}"
        elif self._has_chains() or (proxy.name == "kube-proxy" and has_made_rules(self.context, proxy)):
            message = f"somebody removed the rules of {proxy.name}, which did not notice: {what}"
        else:
            age = self.context.now - proxy.started
            if 0 <= age < STARTING:
                severity = Severity.WARNING
                message = f"{proxy.name} has made no rules yet, {age:.0f} s after its start: {what}"
            else:
                message = f"{proxy.name} runs, and has no rules: {what}"
        return Finding(
            message=message,
            subject=f"kubernetes {self.service}",
            severity=severity,
            evidence=(
                Evidence(
                    source=f"packet filter rules{_where(self.node.net)}",
                    observed=f"nothing for {self.service} in {', '.join(rules.tables) or 'any table: there is none'}",
                    expected=f"rules that lead {self.service} to a kube-apiserver",
                ),
            ),
            fixes=tuple(self._start(proxy)),
        )

    def _has_chains(self) -> bool:
        tables = self.context.get(host.rule_chains, self.node.net)
        return any("KUBE-SERVICES" in one.chains or one.name == "kube-proxy" for one in tables)

    def _start(self, proxy: Instance | None) -> Iterator[Fix]:
        target = self.context.target
        verb = "start" if proxy is None else "restart"
        if proxy is not None and proxy.name == "k3s":
            yield Fix(summary="restart k3s", safety=Safety.DISRUPTIVE, steps=(run("systemctl", "restart", "k3s"),))
        elif target.kind is TargetKind.KUBEDOCTOR:
            step = Step(kind=StepKind.RESTART_COMPONENT, component="kube-proxy")
            yield Fix(summary=f"{verb} kube-proxy", safety=Safety.SAFE, steps=(step,), link=VIRTUAL_ADDRESSES)
        elif target.kind is TargetKind.KUBEADM and target.kubeconfig and proxy is not None:
            words = ("-n", "kube-system", "rollout", "restart", "daemonset/kube-proxy")
            yield Fix(
                summary="restart kube-proxy",
                safety=Safety.SAFE,
                steps=(run("kubectl", "--kubeconfig", target.kubeconfig, *words),),
                link=VIRTUAL_ADDRESSES,
            )
        else:
            yield Fix(summary=f"{verb} kube-proxy", link=VIRTUAL_ADDRESSES)
        log = next((one.log for one in self.node.instances if one.name == "kube-proxy" and one.log), "")
        if log:
            yield Fix(summary=f"see why in {log}, if it makes none again")

    def _refused(self, way: host.Way) -> Finding:
        reason = f" ({way.comment})" if way.comment else ""
        return Finding(
            message=f"connections to {self.service}, the service `kubernetes`, are "
            f"{'dropped' if way.verdict == 'drop' else 'rejected'}{reason}: kube-proxy knows no endpoint of it",
            subject=f"kubernetes {self.service}",
            evidence=(
                Evidence(
                    source=f"chain {way.chain} of table {way.table}, {way.backend}{_where(self.node.net)}",
                    observed=f"{way.verdict}, through {', '.join(way.through)}{reason}",
                    expected="an endpoint: the advertised address of a kube-apiserver",
                ),
            ),
            fixes=(
                Fix(
                    summary="see what kubectl get endpointslices -n default says; kube-apiserver writes itself there, "
                    "unless --endpoint-reconciler-type=none",
                    link=VIRTUAL_ADDRESSES,
                ),
            ),
        )

    # --- something leads to where nobody is ---------------------------------------------------------------------------

    def _unanswered(self, rules: host.ServiceRules) -> Iterator[Finding]:
        tried: dict[tuple[str, int], str] = {}
        ways = dict.fromkeys((*rules.arriving, *rules.leaving))
        dead = {way: [one for one in _certain(way) if self._is_dead(one, tried)] for way in ways}
        for way in ways:
            if dead[way]:
                rivals = [one for one in ways if one.hook == way.hook and one.backend != way.backend and not dead[one]]
                yield self._contested(way, dead[way][0], rivals[0]) if rivals else self._dead(way, dead[way], tried)
                return

    def _is_dead(self, one: host.Leading, tried: dict[tuple[str, int], str]) -> bool:
        place = (one.address, one.port)
        if place not in tried and one.address != "?" and sum(map(bool, tried.values())) < _MOST_DEAD:
            tried[place] = self._problem(*place)
        return bool(tried.get(place))

    def _problem(self, address: str, port: int) -> str:
        """Return what is wrong with an endpoint, "" when a kube-apiserver answers, whatever it thinks of us."""
        url = f"{host.reachable_url('https', address or '127.0.0.1', port)}/livez"
        try:
            answer = self.context.get(host.health, url, self.node.net)
        except Denied:  # it wants a certificate first
            return ""
        if answer.problem:
            return answer.problem
        return "" if answer.status != 404 else "what answers is no kube-apiserver: it has no /livez"

    def _dead(self, way: host.Way, dead: list[host.Leading], tried: dict[tuple[str, int], str]) -> Finding:
        first, count = dead[0], len(_certain(way))
        foreign = not first.chain.startswith(_ITS_CHAINS)
        rule = f"a rule in {first.chain} of {way.table} ({way.backend}) leads"
        some = "" if len(dead) == count else f"; {count - len(dead)} of {count} endpoints are well"
        return Finding(
            message=f"{rule if foreign else f'the rules of kube-proxy ({way.backend}) lead'} {self.service}, "
            f"the service `kubernetes`, to {_place(first)}, where no kube-apiserver answers{some}",
            subject=f"kubernetes {self.service}",
            severity=Severity.WARNING if some else None,
            evidence=(
                self._evidence(way, first),
                Evidence(
                    source=f"https://{_place(first)}/livez",
                    observed=tried[(first.address, first.port)],
                    expected="an answer",
                ),
            ),
            fixes=(_remove(way, first),) if foreign else tuple(self._stale()),
        )

    def _contested(self, way: host.Way, first: host.Leading, rival: host.Way) -> Finding:
        """Return what two back ends that lead to different places come to: the kernel takes the one it met last."""
        problem = self._problem(self.address, PORT)  # it is led to one of the places that were tried just now
        effect = "and they come first" if problem else f"though those in {rival.backend} come first for now"
        return Finding(
            message=f"rules in {way.backend} lead {self.service}, the service `kubernetes`, to {_place(first)}, "
            f"where no kube-apiserver answers, {effect}",
            subject=f"kubernetes {self.service}",
            severity=None if problem else Severity.WARNING,
            evidence=(
                self._evidence(way, first),
                self._evidence(rival, rival.endpoints[0]),
                Evidence(source=f"https://{self.service}/livez", observed=problem or "answers", expected="an answer"),
            ),
            fixes=(_remove(way, first),),
        )

    def _evidence(self, way: host.Way, first: host.Leading) -> Evidence:
        return Evidence(
            source=f"chain {first.chain} of table {way.table}, {way.backend}{_where(self.node.net)}",
            observed=f"leads {self.service} to {_place(first)}",
            expected=self._expected(),
        )

    def _expected(self) -> str:
        known = [
            f"{one.flag('advertise-address')}:{one.flag('secure-port', '6443')}"
            for one in self.context.target.all("kube-apiserver")
            if one.flag("advertise-address")
        ]
        return f"to {', '.join(known)}" if known else "to a kube-apiserver"

    def _stale(self) -> Iterator[Fix]:
        proxy = next(iter(self.node.running("kube-proxy", "k3s")), None)
        if proxy is None:
            yield Fix(summary="start kube-proxy: the rules are those of one that has ended", link=VIRTUAL_ADDRESSES)
            return
        yield Fix(summary="see what kubectl get endpointslices -n default says: a kube-apiserver may be down or gone")
        yield from self._start(proxy)


def _certain(way: host.Way) -> list[host.Leading]:
    """Return the endpoints that connections are led to for sure, all of them when that is not known of any."""
    return ([one for one in way.endpoints if not one.conditional] or list(way.endpoints))[:_MOST_TRIED]


def _place(one: host.Leading) -> str:
    if not one.address:
        return f"this machine, port {one.port}"
    return f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"


def _remove(way: host.Way, rule: host.Leading) -> Fix:
    family, _, table = way.table.partition(" ")
    if way.backend == "nftables":
        show = f"nft -a list chain {way.table} {rule.chain}"
    else:
        show = f"{way.backend.replace('iptables', 'ip6tables') if family == 'ip6' else way.backend} -t {table} -S"
    return Fix(summary=f"delete the rule, which is not that of the kube-proxy that runs: `{show}` shows it")


def _where(net: int) -> str:
    return f" in the network namespace of process {net}" if net else ""
