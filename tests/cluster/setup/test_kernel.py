"""The kernel of the machine the tests run on, tried for what a node needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kubedoctor.cluster.setup import kernel
from kubedoctor.cluster.setup.kernel import Feature, lacking
from kubedoctor.cluster.setup.machine import Machine

NONSENSE = Feature("xt_nonsense", "nothing", "-m nonsense")
NO_RULE = Feature("nft_nonsense", "nothing", "add rule ip t c nonsense")


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("iptables-restore") or not shutil.which("nft"), reason="no iptables or nft")
def test_what_fails_is_named_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "IPTABLES", (kernel.IPTABLES[0], NONSENSE))
    monkeypatch.setattr(kernel, "NFT", (NO_RULE,))
    before = Path("/proc/self/mountinfo").read_text(), sorted(Path("/run").iterdir())
    found = lacking(Machine(), iptables=True, nft=True)
    assert found.keys() <= {NONSENSE, NO_RULE, kernel.IPTABLES[0], kernel.OVERLAY}
    assert NONSENSE in found
    assert "nonsense" in found[NONSENSE]
    assert NO_RULE in found
    assert before == (Path("/proc/self/mountinfo").read_text(), sorted(Path("/run").iterdir()))


@pytest.mark.root
def test_virtual_servers_are_asked_for_of_the_kernel_itself() -> None:
    found = lacking(Machine(), iptables=False, nft=False, ipvs=True)
    assert (kernel.SERVERS in found) is not Path("/proc/net/ip_vs").exists()


@pytest.mark.root
def test_what_cannot_be_tried_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_namespaces: int) -> tuple[int, int]:
        raise PermissionError(1, "Operation not permitted", "clone")

    monkeypatch.setattr("kubedoctor.cluster.kernel.clone", refuse)
    assert lacking(Machine(), iptables=True, nft=True) == {}
