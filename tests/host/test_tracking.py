from __future__ import annotations

import pytest

from kubedoctor.facts import Absent, Malformed
from kubedoctor.host.kernel import sysctl
from kubedoctor.host.tracking import Conntrack, conntrack
from kubedoctor.testing import FakeLook

COUNT, MAXIMUM = (f"net.netfilter.nf_conntrack_{what}" for what in ("count", "max"))


def test_connections_are_counted_in_the_network_asked_for() -> None:
    look = FakeLook({(sysctl, COUNT, 7): "12", (sysctl, MAXIMUM, 7): "262144"})
    assert look.get(conntrack, 7) == Conntrack(count=12, maximum=262144)


def test_a_kernel_that_tracks_nothing_says_so() -> None:
    with pytest.raises(Absent):
        FakeLook({(sysctl, COUNT, 7): Absent("no such setting")}).get(conntrack, 7)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(Malformed):
        FakeLook({(sysctl, COUNT, 7): "many", (sysctl, MAXIMUM, 7): "1"}).get(conntrack, 7)
