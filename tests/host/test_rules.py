from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.facts import Malformed
from kubedoctor.host.rules import TCP, Connection, Effect, Holds, Outcome, Verdict, Walk

HERE = Connection(destination=ipaddress.ip_address("10.0.0.1"), protocol=TCP, port=443)
Chains = dict[str, list[Outcome]]


def one(verdict: Verdict, holds: Holds = Holds.YES, chain: str = "", address: str = "", comment: str = "") -> Outcome:
    return Outcome((Effect(verdict, holds, chain, address, 6443 if address else 0, comment),))


def dnat(address: str, holds: Holds = Holds.YES) -> Outcome:
    return one(Verdict.DNAT, holds, address=address)


def jump(chain: str, holds: Holds = Holds.YES, comment: str = "") -> Outcome:
    return one(Verdict.JUMP, holds, chain, comment=comment)


def walk(chains: Chains) -> tuple[Walk, bool]:
    made = Walk(lambda chain: chains.get(chain, []))
    return made, made.enter("A")


def led(chains: Chains) -> dict[str, bool]:
    return {lead.address: lead.conditional for lead in walk(chains)[0].endpoints(HERE)}


def test_the_first_rule_that_decides_ends_the_way() -> None:
    made, decided = walk({"A": [dnat("1.1.1.1"), dnat("1.1.1.2")]})
    assert decided
    assert [lead.address for lead in made.endpoints(HERE)] == ["1.1.1.1"]
    assert made.verdict is Verdict.DNAT


def test_a_called_chain_comes_back_and_a_chain_gone_to_does_not() -> None:
    called = {"A": [jump("B"), dnat("1.1.1.1")], "B": [one(Verdict.RETURN), dnat("1.1.1.2")]}
    assert led(called) == {"1.1.1.1": False}
    assert led({**called, "A": [one(Verdict.GOTO, chain="B"), dnat("1.1.1.1")]}) == {}
    nested = {"A": [jump("B"), dnat("1.1.1.1")], "B": [one(Verdict.GOTO, chain="C"), dnat("1.1.1.2")], "C": []}
    assert led(nested) == {"1.1.1.1": False}, "after a goto in B the way goes on in A, behind the jump"


def test_accepting_ends_the_way_without_leading_anywhere() -> None:
    assert led({"A": [jump("B"), dnat("1.1.1.1")], "B": [one(Verdict.ACCEPT)]}) == {}


def test_what_may_hold_hides_nothing_and_what_it_leads_to_is_conditional() -> None:
    assert led({"A": [dnat("1.1.1.1", Holds.MAYBE), dnat("1.1.1.2")]}) == {"1.1.1.1": True, "1.1.1.2": False}
    assert led({"A": [jump("B", Holds.MAYBE), jump("B")], "B": [dnat("1.1.1.1")]}) == {"1.1.1.1": False}


def test_shares_are_all_followed_and_all_together_decide() -> None:
    effects = tuple(Effect(Verdict.JUMP, Holds.SHARE, chain) for chain in "BC")
    chains = {"A": [Outcome(effects, exhaustive=True), dnat("1.1.1.9")], "B": [dnat("1.1.1.1")], "C": [dnat("1.1.1.2")]}
    assert led(chains) == {"1.1.1.1": False, "1.1.1.2": False}
    chains["C"] = []
    assert led(chains) == {"1.1.1.1": False, "1.1.1.9": False}


def test_the_comment_that_is_nearest_to_the_decision_is_told() -> None:
    refused = [one(Verdict.REJECT)]
    made, _ = walk({"A": [jump("B", comment="portals")], "B": [jump("C", comment="no endpoints")], "C": refused})
    assert (made.verdict, made.comment) == (Verdict.REJECT, "no endpoints")
    made, _ = walk({"A": [jump("B", comment="portals"), one(Verdict.DROP)], "B": []})
    assert (made.verdict, made.comment) == (Verdict.DROP, "")


def test_chains_that_call_each_other_come_to_an_end() -> None:
    assert led({"A": [jump("B"), dnat("1.1.1.1")], "B": [jump("A")]}) == {"1.1.1.1": False}
    endless = {chr(65 + number): [jump(chr(66 + number))] for number in range(200)}
    with pytest.raises(Malformed, match="more than 128 chains"):
        walk(endless)


def test_entangled_chains_cost_no_more_than_their_rules() -> None:
    ladder = {chr(65 + number): [jump(chr(66 + number))] * 50 for number in range(100)}
    made, _ = walk(ladder)
    assert made.run == 100 * 50


CHAIN = st.lists(
    st.builds(
        one,
        st.sampled_from(list(Verdict)),
        st.sampled_from([Holds.MAYBE, Holds.SHARE, Holds.YES]),
        st.sampled_from("ABCD"),
        st.sampled_from(["", "1.1.1.1"]),
    ),
    max_size=5,
)


@given(st.fixed_dictionaries(dict.fromkeys("ABCD", CHAIN)))
def test_any_chains_come_to_an_end(chains: Chains) -> None:
    made, _ = walk(chains)
    assert made.run <= 3 * sum(map(len, chains.values()))


def test_the_header_of_a_packet_has_protocol_and_destination_in_their_places() -> None:
    assert HERE.header == {9: b"\x06", 16: b"\x0a\0\0\x01"}
    other = Connection(destination=ipaddress.ip_address("::1"), protocol=TCP, port=443)
    assert other.header == {6: b"\x06", 24: bytes(15) + b"\x01"}
