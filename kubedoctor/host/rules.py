"""Where a set of packet filter rules leads one new connection, whatever back end holds the rules.

The rules are run as the kernel runs them, on a connection of which destination and state are known and everything else
(who asks, from which interface, with which mark) is not. So a rule holds, does not, does for a share of connections
(kube-proxy's load balancing), or may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from kubedoctor.facts import Malformed
from kubedoctor.records import dataclass

TCP, UDP = 6, 17
"""IP protocol numbers."""

_DEEPEST = 128
"""Chains called by chains: nf_tables allows 16, iptables-legacy as many as there are chains."""
_MOST_RULES = 1_000_000
"""Rules run for one connection: 50 times what the largest clusters have in all."""


class Holds(IntEnum):
    """Whether what a rule asks for is so; of several conditions the least counts."""

    NO = 0
    MAYBE = 1  # it hangs on what is not known
    SHARE = 2  # for some connections, by lot
    YES = 3


class Verdict(StrEnum):
    """What a rule does with a connection."""

    CONTINUE = "continue"
    RETURN = "return"
    JUMP = "jump"
    GOTO = "goto"
    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    DNAT = "dnat"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A new connection: where it is going, and whether that is an address of this machine itself."""

    destination: IPv4Address | IPv6Address
    protocol: int
    port: int
    local: bool = False

    @property
    def header(self) -> dict[int, bytes]:
        """The bytes of the network header that are known, by their offset."""
        if self.destination.version == 4:
            return {9: bytes([self.protocol]), 16: self.destination.packed}
        return {6: bytes([self.protocol]), 24: self.destination.packed}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a rule does if it holds; `address` "" stands for this machine, `port` 0 for the port asked for."""

    verdict: Verdict
    holds: Holds = Holds.YES
    chain: str = ""
    address: str = ""
    port: int = 0
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effects one rule can have; `exhaustive`: it is always one of them."""

    effects: tuple[Effect, ...]
    exhaustive: bool = False


Rules = Callable[[str], Iterable[Outcome]]
"""Gives what the rules of a chain do with the connection, those that do not hold left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """An address and port that connections are led to, by a rule in `chain`; `conditional`: not known to be for all."""

    address: str
    port: int
    chain: str = ""
    conditional: bool = False


@dataclass(slots=True)
class Walk:
    """One connection on its way through a base chain and what that calls."""

    rules: Rules
    leads: list[tuple[Holds, Effect, str]] = field(default_factory=list)
    verdict: Verdict = Verdict.CONTINUE  # the first that is certain
    comment: str = ""
    chains: dict[str, tuple[Holds, bool]] = field(default_factory=dict)
    run: int = 0
    near: str = ""  # the comment of the rule that led here

    def enter(self, chain: str, given: Holds = Holds.YES, depth: int = 0) -> bool:
        """Run a chain that is reached as *given*; return whether it decides about every connection that enters it."""
        seen, decided = self.chains.get(chain, (Holds.NO, False))
        if given <= seen:  # nothing new comes of it: rules see the same connection
            return decided
        if depth > _DEEPEST:
            raise Malformed(f"more than {_DEEPEST} chains call each other")
        self.chains[chain] = (given, False)
        decided = self._run(chain, given, depth)
        self.chains[chain] = (given, decided)
        return decided

    def _run(self, chain: str, given: Holds, depth: int) -> bool:
        for outcome in self.rules(chain):
            self.run += 1
            if self.run > _MOST_RULES:
                raise Malformed(f"more than {_MOST_RULES} rules apply to one connection")
            decided = bool(outcome.effects)
            for effect in outcome.effects:
                done = self._apply(effect, chain, min(given, effect.holds), depth)
                decided = decided and done
                if effect.holds is Holds.YES and (done or effect.verdict in (Verdict.RETURN, Verdict.GOTO)):
                    return done
            if outcome.exhaustive and decided:
                return True
        return False

    def _apply(self, effect: Effect, chain: str, holds: Holds, depth: int) -> bool:
        """Let a rule act; return whether that is the end of the connection's way."""
        if effect.verdict in (Verdict.JUMP, Verdict.GOTO):
            before, self.near = self.near, effect.comment or self.near
            decided = self.enter(effect.chain, holds, depth + 1)
            self.near = before
            return decided
        if effect.verdict in (Verdict.CONTINUE, Verdict.RETURN):
            return False
        if effect.verdict in (Verdict.DNAT, Verdict.REDIRECT):
            self.leads.append((holds, effect, chain))
        if holds is Holds.YES and self.verdict is Verdict.CONTINUE:
            self.verdict, self.comment = effect.verdict, effect.comment or self.near
        return True

    def endpoints(self, connection: Connection) -> tuple[Leading, ...]:
        """Return where connections are led to, each once, in the order of the rules."""
        found: dict[tuple[str, int], Leading] = {}
        for holds, effect, chain in self.leads:
            key = (effect.address, effect.port or connection.port)
            conditional = holds is Holds.MAYBE and (key not in found or found[key].conditional)
            found[key] = Leading(address=key[0], port=key[1], chain=chain, conditional=conditional)
        return tuple(found.values())
