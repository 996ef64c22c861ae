"""Where the packet filter rules of a network namespace lead connections to a service, and which rules there are.

Rules of iptables-nft, iptables-legacy and nftables are all run, as a packet meets them. Only chains that a connection
comes through are read, so that a machine with tens of thousands of rules costs little. Standard library only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from kubedoctor.facts import Absent, Look, Malformed, fact
from kubedoctor.host import nftables, xtables
from kubedoctor.host.interfaces import addresses
from kubedoctor.host.nft_machine import Lookup, run_rule
from kubedoctor.host.nft_sets import LoadedSet
from kubedoctor.host.nftables import NftChain
from kubedoctor.host.rules import TCP, UDP, Connection, Leading, Outcome, Rules, Verdict, Walk
from kubedoctor.records import dataclass

IPTABLES_NFT, IPTABLES_LEGACY, NFTABLES = "iptables-nft", "iptables-legacy", "nftables"
"""Back ends: who wrote the rules, by where and how they lie."""

_IPTABLES_TABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
_PROTOCOLS = {"tcp": TCP, "udp": UDP}
_ENTRANCES = ("prerouting", "output", "forward")
_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}  # linux/netfilter_ipv4.h: NF_IP_PRI_*
_NAT_PRIORITIES = {"prerouting": -100, "output": -100}  # NF_IP_PRI_NAT_DST; elsewhere NF_IP_PRI_NAT_SRC
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseChain:
    """A chain that packets enter at a hook. `calls` are the chains that its own rules lead to."""

    name: str
    hook: str  # prerouting, input, forward, output, postrouting
    type: str  # filter, nat, route …
    priority: int = 0
    policy: str = "accept"
    rules: int = 0
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTable:
    """A table. `chains` has all its other chains by name, each with how many rules it has.

    nf_tables counts what leads to a chain too, so only 0 says for sure how many there are.
    """

    backend: str  # iptables-nft, iptables-legacy, nftables
    family: str  # ip, ip6, inet
    name: str
    base_chains: tuple[BaseChain, ...] = ()
    chains: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What one base chain does with connections to a service.

    `verdict` is what happens to all of them, if that is certain: accept, drop, reject, dnat, redirect. `endpoints` with
    the address "" are this machine, with "?" one that cannot be seen. `comment` is the deciding rule's.
    """

    backend: str
    table: str
    hook: str
    chain: str
    priority: int
    endpoints: tuple[Leading, ...] = ()
    verdict: str = "continue"
    comment: str = ""
    through: tuple[str, ...] = ()  # the first chains on the way


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRules:
    """Where connections to a service are led, from pods and other machines (`arriving`) and from here (`leaving`).

    Each has the base chains that do something, in their order. Which of two back ends comes first at the same priority
    hangs on which was set up first, and cannot be asked. `tables` are those that were looked at.
    """

    address: str
    port: int
    protocol: str
    arriving: tuple[Way, ...] = ()
    leaving: tuple[Way, ...] = ()
    tables: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[Leading, ...]:
        """The endpoints of all ways, each once."""
        found = {(one.address, one.port): one for way in (*self.leaving, *self.arriving) for one in way.endpoints}
        return tuple(found.values())


@fact("host.rule-chains")
def rule_chains(look: Look, net: int) -> tuple[RuleTable, ...]:
    """The packet filter tables and chains in the network namespace of process *net* (0: ours), of all back ends."""
    del look
    found = nftables.chains(net=net) if nftables.tables(net=net) else ()
    by_table: dict[tuple[str, str], list[NftChain]] = {}
    for chain in found:
        by_table.setdefault((chain.family, chain.table), []).append(chain)
    result = [_nft_table(family, name, own, net) for (family, name), own in by_table.items()]
    for version in (4, 6):
        names = xtables.table_names(version, net=net)
        result += [_legacy_table(xtables.read_table(version, name, net=net)) for name in names]
    return tuple(result)


@fact("host.service-rules")
def service_rules(look: Look, net: int, address: str, port: int, protocol: str = "tcp") -> ServiceRules:
    """Where the rules in the network namespace of process *net* (0: ours) lead connections to an address and port."""
    try:
        destination = ipaddress.ip_address(address)
    except ValueError:
        raise Malformed(f"`{address}` is not an IP address") from None
    if protocol not in _PROTOCOLS:
        raise Malformed(f"`{protocol}` is not tcp or udp")
    local = str(destination) in {one.address for one in look.get(addresses, net)}
    connection = Connection(destination=destination, protocol=_PROTOCOLS[protocol], port=port, local=local)
    hooked = [*_nft_hooked(connection, net), *_legacy_hooked(connection, net)]
    arriving = _follow(hooked, "prerouting", connection)
    leaving = _follow(hooked, "output", connection)
    return ServiceRules(
        address=str(destination),
        port=port,
        protocol=protocol,
        arriving=arriving or _refused(hooked, ("prerouting", "forward"), connection),
        leaving=leaving or _refused(hooked, ("output",), connection),
        tables=tuple(dict.fromkeys(f"{one.backend} {one.table}" for one in hooked)),
    )


# --- running base chains ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Hooked:
    """A base chain with what runs its table's rules."""

    backend: str
    table: str
    chain: str
    hook: str
    type: str
    priority: int
    rules: Rules


def _follow(hooked: Iterable[_Hooked], hook: str, connection: Connection) -> tuple[Way, ...]:
    """Return what the NAT chains at a hook do, until one has decided; those of its priority too, see ServiceRules."""
    ways: list[Way] = []
    decided: int | None = None
    for one in sorted((one for one in hooked if (one.hook, one.type) == (hook, "nat")), key=lambda one: one.priority):
        if decided is not None and one.priority > decided:
            break
        way = _way(one, connection)
        if way.endpoints:
            ways.append(way)
            if not all(endpoint.conditional for endpoint in way.endpoints):
                decided = one.priority
    return tuple(ways)


def _refused(hooked: Iterable[_Hooked], hooks: tuple[str, ...], connection: Connection) -> tuple[Way, ...]:
    """Return the filter chains that surely refuse connections to an address that was not translated."""
    chains = sorted((one for one in hooked if one.hook in hooks and one.type == "filter"), key=lambda one: one.priority)
    ways = (_way(one, connection) for one in chains)
    return tuple(way for way in ways if way.verdict in (Verdict.REJECT, Verdict.DROP))


def _way(one: _Hooked, connection: Connection) -> Way:
    walk = Walk(one.rules)
    is_decided = walk.enter(one.chain)
    endpoints = walk.endpoints(connection)
    shared = is_decided and endpoints and walk.verdict is Verdict.CONTINUE  # by lot, each share by a rule of its own
    return Way(
        backend=one.backend,
        table=one.table,
        hook=one.hook,
        chain=one.chain,
        priority=one.priority,
        endpoints=endpoints,
        verdict=(Verdict.DNAT if shared else walk.verdict).value,
        comment=walk.comment,
        through=tuple(walk.chains)[1 : _SHOWN + 1],
    )


# --- nf_tables --------------------------------------------------------------------------------------------------------


def _nft_hooked(connection: Connection, net: int) -> Iterator[_Hooked]:
    if not nftables.tables(net=net):
        return
    families = ("inet", "ip" if connection.destination.version == 4 else "ip6")
    readers: dict[tuple[str, str], _NftTable] = {}
    for chain in nftables.chains(net=net):
        if chain.hook in _ENTRANCES and chain.family in families:
            place = (chain.family, chain.table)
            reader = readers.setdefault(place, _NftTable(chain.family, chain.table, connection, net))
            yield _Hooked(
                backend=_nft_backend(*place),
                table=f"{chain.family} {chain.table}",
                chain=chain.name,
                hook=chain.hook,
                type=chain.type,
                priority=chain.priority,
                rules=reader.outcomes,
            )


def _nft_backend(family: str, table: str) -> str:
    return IPTABLES_NFT if family in ("ip", "ip6") and table in _IPTABLES_TABLES else NFTABLES


@dataclass(slots=True)
class _NftTable:
    """A table whose chains and sets are read when a connection comes to them."""

    family: str
    table: str
    connection: Connection
    net: int
    sets: dict[str, nftables.NftSet] | None = None
    loaded: dict[str, LoadedSet] = field(default_factory=dict)

    known: dict[str, list[Outcome]] = field(default_factory=dict)

    def outcomes(self, chain: str) -> list[Outcome]:
        if chain not in self.known:
            self.known[chain] = list(self._run(chain))
        return self.known[chain]

    def _run(self, chain: str) -> Iterator[Outcome]:
        try:
            data = nftables.rules(self.family, self.table, chain, net=self.net)
        except Absent:  # removed meanwhile: kube-proxy replaces chains all the time
            return
        to = self.connection.destination.packed
        for expressions, user_data in nftables.parse_rules(data, self.table, chain, to=to):
            outcome = run_rule(expressions, user_data, self.connection, self.lookup)
            if outcome is not None:
                yield outcome

    def lookup(self, name: str) -> Lookup:
        if name not in self.loaded:
            if self.sets is None:
                self.sets = nftables.sets(self.family, self.table, net=self.net)
            data = nftables.elements(self.family, self.table, name, net=self.net) if name in self.sets else b""
            self.loaded[name] = LoadedSet(self.sets.get(name, nftables.NftSet(4, False, False)), data)
        return self.loaded[name]


def _nft_table(family: str, name: str, own: Iterable[NftChain], net: int) -> RuleTable:
    base, others = [], {}
    for chain in own:
        if chain.hook:
            count, calls = _calls(chain, net)
            base.append(
                BaseChain(
                    name=chain.name,
                    hook=chain.hook,
                    type=chain.type,
                    priority=chain.priority,
                    policy=chain.policy,
                    rules=count,
                    calls=calls,
                )
            )
        else:
            others[chain.name] = chain.uses
    return RuleTable(
        backend=_nft_backend(family, name), family=family, name=name, base_chains=tuple(base), chains=others
    )


def _calls(chain: NftChain, net: int) -> tuple[int, tuple[str, ...]]:
    """Return how many rules a base chain has, and the chains they name."""
    if not chain.uses:
        return 0, ()
    try:
        data = nftables.rules(chain.family, chain.table, chain.name, net=net)
    except Absent:
        return 0, ()
    count, named = 0, dict[str, None]()
    for expressions, _ in nftables.parse_rules(data, chain.table, chain.name):
        count += 1
        named.update(dict.fromkeys(nftables.called(expressions)))
    return count, tuple(named)


# --- iptables-legacy --------------------------------------------------------------------------------------------------


def _legacy_hooked(connection: Connection, net: int) -> Iterator[_Hooked]:
    version = connection.destination.version
    for name in xtables.table_names(version, net=net):
        if name not in ("nat", "filter"):
            continue
        table = xtables.read_table(version, name, net=net)
        rules = _LegacyRules(table, connection)
        for chain in table.hooks:
            hook = chain.lower()
            yield _Hooked(
                backend=IPTABLES_LEGACY,
                table=f"{'ip' if version == 4 else 'ip6'} {name}",
                chain=chain,
                hook=hook,
                type=name,
                priority=_legacy_priority(name, hook),
                rules=rules.outcomes,
            )


@dataclass(slots=True)
class _LegacyRules:
    table: xtables.LegacyTable
    connection: Connection
    known: dict[str, list[Outcome]] = field(default_factory=dict)

    def outcomes(self, chain: str) -> list[Outcome]:
        if chain not in self.known:
            self.known[chain] = list(xtables.outcomes(self.table, chain, self.connection))
        return self.known[chain]


def _legacy_table(table: xtables.LegacyTable) -> RuleTable:
    return RuleTable(
        backend=IPTABLES_LEGACY,
        family="ip" if table.version == 4 else "ip6",
        name=table.name,
        base_chains=tuple(
            BaseChain(
                name=chain,
                hook=chain.lower(),
                type=table.name,
                priority=_legacy_priority(table.name, chain.lower()),
                policy=policy,
                rules=len(table.chains[chain]),
                calls=xtables.called(table, chain),
            )
            for chain, policy in table.hooks.items()
        ),
        chains={chain: len(rules) for chain, rules in table.chains.items() if chain not in table.hooks},
    )


def _legacy_priority(table: str, hook: str) -> int:
    return _NAT_PRIORITIES.get(hook, 100) if table == "nat" else _PRIORITIES.get(table, 0)
