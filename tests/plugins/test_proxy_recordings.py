"""The faults of services, routes and DNS as real machines showed them, looked at again."""

from __future__ import annotations

import gzip
import json

import pytest
from kubedoctor_dns.checks import not_answering
from kubedoctor_network.checks import no_default_route
from kubedoctor_proxy.leftovers import leftover_rules
from kubedoctor_proxy.service import kubernetes_service_missing
from support.instances import CHECKOUT, RECORDINGS, messages, recorded

from kubedoctor import Check

SERVICE, LEFT, DNS, ROUTE = kubernetes_service_missing, leftover_rules, not_answering, no_default_route
NFT, LEGACY, NFTABLES = "iptables-nft", "iptables-legacy", "nftables"
NO_RULE = "no rule leads 10.0.0.1:443, the service `kubernetes`, to a kube-apiserver"
TO_NOBODY = "leads 10.0.0.1:443, the service `kubernetes`, to 198.18.0.1:7777, where no kube-apiserver answers"
FOUND = (
    *((SERVICE, f"flushed-{one}", NO_RULE) for one in (NFT, LEGACY, NFTABLES)),
    *((SERVICE, f"no-endpoints-{one}", "kube-proxy knows no endpoint of it") for one in (NFT, LEGACY, NFTABLES)),
    (SERVICE, f"stale-{NFT}", f"a rule in OUTPUT of ip nat (iptables-nft) {TO_NOBODY}"),
    (SERVICE, f"stale-{LEGACY}", f"a rule in OUTPUT of ip nat (iptables-legacy) {TO_NOBODY}"),
    (SERVICE, f"stale-{NFTABLES}", f"a rule in first of ip stale (nftables) {TO_NOBODY}"),
    (LEFT, NFT, "those in iptables-legacy from an earlier one"),
    (LEFT, LEGACY, "those in iptables-nft from an earlier one"),
    (LEFT, NFTABLES, "rules of one in another mode are left in iptables-nft: KUBE-SERVICES in ip nat"),
    (ROUTE, "", "so programs on the machine itself reach no service"),
    (DNS, "", "has no endpoint: no ready pod of CoreDNS is selected"),
    (DNS, "stopped", "is stopped, by SIGSTOP or Ctrl-Z"),
    (DNS, "other-domain", "it does not know the cluster's domain"),
)


@pytest.mark.parametrize(("check", "fault", "words"), FOUND, ids=lambda one: getattr(one, "id", one))
def test_a_recorded_fault_is_found_again(check: Check, fault: str, words: str) -> None:
    result = recorded(check, f"{check.id}.{fault}" if fault else "")
    assert result.outcome == "failed"
    (message,) = messages(result)
    assert words in message


@pytest.mark.parametrize("check", [SERVICE, LEFT, DNS, ROUTE], ids=lambda one: one.id)
def test_on_a_healthy_node_nothing_is_found(check: Check) -> None:
    result = recorded(check, "healthy-node-network")
    assert (result.outcome, result.findings) == ("passed", ())


@pytest.mark.parametrize(("check", "fault", "words"), FOUND, ids=lambda one: getattr(one, "id", one))
def test_what_was_recorded_suffices_and_names_no_machine_of_ours(check: Check, fault: str, words: str) -> None:
    path = RECORDINGS / f"{check.id}{f'.{fault}' if fault else ''}.json.gz"
    content = gzip.decompress(path.read_bytes())
    assert CHECKOUT not in content
    assert len(path.read_bytes()) < 20_000
    facts = json.loads(content)["facts"]
    assert [key for key in facts if key.startswith("host.service-rules")] or check is ROUTE
