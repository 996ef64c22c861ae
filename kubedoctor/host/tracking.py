"""How full the table of tracked connections is. Standard library only."""

from __future__ import annotations

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.kernel import sysctl
from kubedoctor.records import dataclass

_COUNT, _MAX = "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conntrack:
    """Connections that are tracked in one network namespace, and how many may be; `maximum` 0: as many as there are."""

    count: int
    maximum: int


@fact("host.conntrack", recorded=False)
def conntrack(look: Look, net: int) -> Conntrack:
    """The tracked connections in the network namespace of process *net* (0: ours); Absent when nothing tracks them."""
    numbers = []
    for key in (_COUNT, _MAX):
        text = look.get(sysctl, key, net)
        if not text.isascii() or not text.isdecimal():
            raise Malformed(f"{key} is no number")
        numbers.append(int(text))
    return Conntrack(count=numbers[0], maximum=numbers[1])
