"""Which chains and rules of iptables are a cluster's, as iptables-save prints them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.networks import KUBE_PROXY

from kubedoctor.cluster.cleanup.chains import parse, removal, target, without_others

OURS, THEIRS = "a" * 64, "b" * 64
PORTMAP = f"""\
*nat
:PREROUTING ACCEPT [0:0]
:CNI-DN-ours - [0:0]
:CNI-DN-theirs - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-left - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"mine\\" id: \\"{THEIRS}\\"" -j CNI-DN-theirs
-A CNI-DN-theirs -s 10.2.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
-A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
-A CNI-left -j RETURN
COMMIT
"""


def test_chains_and_rules_are_told_apart_by_table() -> None:
    nat, mangle_free = list(parse("ip", KUBE_PROXY))
    assert (nat.name, mangle_free.name) == ("nat", "filter")
    assert "PREROUTING" not in nat.chains, "a built-in chain is nobody's"
    assert "KUBE-SERVICES" in nat.chains
    assert nat.keys("KUBE-SERVICES") == ["ip nat KUBE-SERVICES"]
    assert nat.keys("CNI-") == []


def test_removal_takes_rules_that_lead_in_and_nothing_else() -> None:
    text = KUBE_PROXY.replace(
        "COMMIT\n",
        '-A FORWARD -m comment --comment "not to -j KUBE-FORWARD" -j MINE\nCOMMIT\n',
    )
    _, filter_table = list(parse("ip", text))
    lines = removal(filter_table, ["KUBE-FORWARD", "KUBE-SERVICES"]).splitlines()
    assert lines[0] == "*filter"
    assert lines[-1] == "COMMIT"
    assert '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD' in lines
    assert not any("MINE" in line for line in lines)
    assert [line for line in lines if line.startswith(("-F", "-X"))] == [
        "-F KUBE-FORWARD",
        "-F KUBE-SERVICES",
        "-X KUBE-FORWARD",
        "-X KUBE-SERVICES",
    ]


def test_chains_that_serve_a_container_of_others_stay_with_all_they_need() -> None:
    (nat,) = parse("ip", PORTMAP)
    assert without_others(nat, nat.chains) == ["CNI-DN-ours", "CNI-HOSTPORT-MASQ", "CNI-left"]


def test_chains_go_when_no_container_is_named() -> None:
    (nat,) = parse("ip", PORTMAP.replace(THEIRS, "-"))
    assert without_others(nat, nat.chains) == nat.chains


def test_target_is_no_word_of_a_comment() -> None:
    assert target('-m comment --comment "go -j THERE" -j HERE') == "HERE"
    assert target("-g ELSEWHERE") == "ELSEWHERE"
    assert target("-p tcp") == ""


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    for table in parse("ip", text):
        assert removal(table, table.chains).endswith("COMMIT\n") or table.rules
