"""What can be wrong with name resolution in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import (
    Check,
    Context,
    Denied,
    Evidence,
    Finding,
    Fix,
    Instance,
    Malformed,
    NotApplicable,
    Severity,
    Silent,
    check,
    host,
)

SERVER = "coredns"
PORT = 53
DEBUGGING = "https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/"
_MEANINGS = {
    "NXDOMAIN": "it does not know the cluster's domain: its Corefile has another one, or no `kubernetes` plugin",
    "SERVFAIL": "it cannot answer: it has not read the services yet, for it does not reach the API",
    "REFUSED": "it does not answer for that domain: its Corefile has another one",
}


@check(
    "dns.not-answering",
    title="the cluster's DNS answers",
    looks_at="the answer of each CoreDNS to `kubernetes.default.svc`, asked in its own network namespace; the rules "
    "for the DNS address that kubelet tells pods, and the answer there; whether a stub that the node's resolv.conf "
    "names on the machine itself answers. Name servers elsewhere are not asked",
    fix="let the service kube-dns have endpoints, and CoreDNS reach the API",
    seen_as=(
        ";; connection timed out; no servers could be reached",
        "dial tcp: lookup kubernetes.default.svc: i/o timeout",
        "wget: bad address",
        "server misbehaving",
    ),
    of=("kubelet", "k3s", SERVER),
    requires=("proxy.kubernetes-service-missing",),
    tags=("network", "dns"),
    deadline=8.0,
)
def not_answering(context: Context) -> Iterator[Finding]:
    """Pods ask the address that their kubelet names, which rules of kube-proxy lead to the pods of CoreDNS.

    Each of these may be broken while the others are well: a service that selects no pod leaves CoreDNS ready and its
    log clean; a CoreDNS that does not reach the API answers, but with SERVFAIL, or says NXDOMAIN for a domain that is
    not its own.
    """
    asked = _Asked(context)
    servers = [one for one in context.target.all(SERVER) if one.is_running]
    sick = 0
    for server in servers:
        found = host.liveness_findings(server) or list(asked.server(server))
        sick += bool(found)
        yield from found
    nodes = host.nodes(context.target)
    kubelets = [one for node in nodes for one in node.running("kubelet", "k3s")]
    told = False
    for kubelet in kubelets:
        dns = host.told_dns(context, kubelet)
        for address in dns.servers:
            told = True
            yield from asked.address(address, kubelet, dns, ask=not sick or sick < len(servers))
        yield from _stubs(context, kubelet, dns)
    if not servers and not told:
        raise NotApplicable("no CoreDNS runs here, and no kubelet tells pods of a DNS server")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Asks for the name of the service `kubernetes`, whose address is known without DNS."""

    context: Context

    def server(self, server: Instance) -> Iterator[Finding]:
        """Ask a CoreDNS where it runs, so that neither services nor routes matter."""
        domain = self._domain()
        sockets = [one for one in self.context.get(host.listeners, server.net) if one.protocol == "udp"]
        unknown = [one for one in sockets if not one.owner.pid]
        own = [one for one in sockets if one.owner.pid == server.pid] or [one for one in unknown if one.port == PORT]
        if unknown and not own:
            raise Denied("needs root to tell which sockets are CoreDNS's")
        if not own:
            yield _finding(
                f"CoreDNS ({server.source}) listens on no UDP port",
                SERVER,
                Evidence(
                    source=f"listening sockets in the network namespace of process {server.net}",
                    observed="none of CoreDNS",
                    expected=f"port {PORT}/udp",
                ),
                Fix(summary="see its log; a Corefile that it cannot read keeps it from listening", link=DEBUGGING),
            )
            return
        listener = min(own, key=lambda one: one.port != PORT)
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.address, listener.address)  # noqa: S104
        yield from self._ask(address, listener.port, server.net, domain, f"CoreDNS ({server.source})", SERVER)

    def address(self, address: str, kubelet: Instance, dns: host.KubeletDns, *, ask: bool) -> Iterator[Finding]:
        """Ask the address that pods are told, unless no rule leads there: the packets would leave the machine.

        Without *ask* nobody who could answer is well: it is only looked whether there are rules, since those for a DNS
        that has no endpoint follow from that.
        """
        local = {one.address for one in self.context.get(host.addresses, kubelet.net)}
        if address not in local:
            rules = self.context.get(host.service_rules, kubelet.net, address, PORT, "udp")
            endpoints = [one for way in rules.leaving for one in way.endpoints]
            if not endpoints and (ask or not rules.leaving):
                yield self._unled(address, kubelet, rules)
            if not endpoints or not ask:
                return
            routes = self.context.get(host.routes, kubelet.net)
            route = host.route_to(routes, address)
            if (route is None or route.kind != "unicast") and endpoints[0].address not in ("", "?"):
                # Packets of pods come to the rules, ours do not: whoever is behind them is asked.
                place = endpoints[0]
                who = f"the cluster's DNS, {address}, led to {place.address},"
                yield from self._ask(place.address, place.port, kubelet.net, dns.domain, who)
                return
        yield from self._ask(address, PORT, kubelet.net, dns.domain, f"the cluster's DNS, {address},")

    def _unled(self, address: str, kubelet: Instance, rules: host.ServiceRules) -> Finding:
        links = self.context.get(host.links, kubelet.net)
        refused = next((way for way in rules.leaving if way.verdict in ("reject", "drop")), None)
        if refused is None and any(one.name in _NOT_BY_RULES for one in links):
            raise Malformed(f"where {address} leads is not in packet filter rules")
        if refused is not None:
            message = (
                f"the DNS address that pods are told, {address}, has no endpoint: no ready pod of CoreDNS is selected"
            )
            observed = f"{refused.verdict} in {refused.chain} of {refused.table} ({refused.backend}) {refused.comment}"
        else:
            message = f"no rule leads the DNS address that pods are told, {address}, anywhere: there is no such service"
            observed = f"nothing for {address}:{PORT}/udp in {', '.join(rules.tables) or 'any table'}"
        return _finding(
            message,
            f"DNS {address}",
            Evidence(
                source=f"packet filter rules in the network namespace of process {kubelet.net}"
                if kubelet.net
                else "packet filter rules of this machine",
                observed=observed.strip(),
                expected=f"rules that lead {address}:{PORT}/udp to a DNS server",
            ),
            Fix(
                summary="see that kubectl -n kube-system get service,endpointslices,pods -l k8s-app=kube-dns shows "
                f"a service with the address {address}, and ready pods that it selects",
                link=DEBUGGING,
            ),
            Fix(summary="give kubelet the address of the DNS service there is: clusterDNS"),
        )

    def _ask(self, address: str, port: int, net: int, domain: str, who: str, subject: str = "") -> Iterator[Finding]:
        name = f"kubernetes.default.svc.{domain}."
        network = host.service_network(self.context)
        kind = "AAAA" if network is not None and ":" in network.address else "A"
        where = f"{address} port {port}/udp" + (f" in the network namespace of process {net}" if net else "")
        subject = subject or f"DNS {address}"
        try:
            answer = self.context.get(host.dns_answer, address, name, net, kind, port)
        except Silent as problem:
            yield _finding(
                f"{who} does not answer",
                subject,
                Evidence(source=where, observed=problem.reason, expected=f"an address of {name}"),
                Fix(summary="see the log of CoreDNS: kubectl -n kube-system logs -l k8s-app=kube-dns", link=DEBUGGING),
            )
            return
        wanted = network.address if network is not None else ""
        if answer.code == "NOERROR" and answer.addresses and (not wanted or wanted in answer.addresses):
            return
        seen = ", ".join(answer.addresses) if answer.code == "NOERROR" else answer.code
        if answer.code == "NOERROR" and answer.addresses:
            why = f"answers {seen} for the service `kubernetes`, which is {wanted}: it is another cluster's"
        elif answer.code == "NOERROR":
            why = f"knows no address of {name}"
        else:
            why = f"says {seen} to {name}: {_MEANINGS.get(answer.code, 'it is not well')}"
        yield _finding(
            f"{who} {why}",
            subject,
            Evidence(source=where, observed=seen or "no address", expected=wanted or f"an address of {name}"),
            Fix(summary="see the log of CoreDNS: kubectl -n kube-system logs -l k8s-app=kube-dns", link=DEBUGGING),
            Fix(summary="compare clusterDomain of kubelet with the `kubernetes` plugin in the Corefile"),
        )

    def _domain(self) -> str:
        """Return the cluster's domain as a kubelet here is told it."""
        for one in self.context.target.all("kubelet", "k3s"):
            return host.told_dns(self.context, one).domain
        return host.KubeletDns().domain


_NOT_BY_RULES = frozenset({"kube-ipvs0", "cilium_host", "antrea-gw0", "ovn-k8s-mp0", "kube-dummy-if", "bpfout.cali"})
"""Interfaces of what makes services work without packet filter rules."""


def _stubs(context: Context, kubelet: Instance, dns: host.KubeletDns) -> Iterator[Finding]:
    """Find stubs of the machine that are not there; those of other network namespaces are not ours to reach."""
    if kubelet.net or not dns.resolv_conf:
        return
    for address in context.get(host.resolv_conf, dns.resolv_conf, kubelet.root).loopback:
        try:
            context.get(host.dns_answer, address, "localhost.", kubelet.net)  # nobody asks others for this name
        except Silent as problem:
            yield Finding(
                message=f"{dns.resolv_conf} names {address}, on the machine itself, and no name server answers there",
                subject=f"DNS {address}",
                severity=Severity.WARNING,
                evidence=(
                    Evidence(source=f"{address} port {PORT}/udp", observed=problem.reason, expected="an answer"),
                ),
                fixes=(
                    Fix(summary="start the resolver that belongs there, or name the real servers"),
                    Fix(summary="give kubelet another file for its pods: resolvConf"),
                ),
            )


def _finding(message: str, subject: str, evidence: Evidence, *fixes: Fix) -> Finding:
    return Finding(message=message, subject=subject, evidence=(evidence,), fixes=fixes)


CHECKS: tuple[Check, ...] = (not_answering,)
