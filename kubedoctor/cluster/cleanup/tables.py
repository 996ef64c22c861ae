"""Tables of nftables that have come: kube-proxy's own, and the empty ones that iptables-nft leaves.

Over netlink and not by `nft`, which a machine need not have, and which cannot say "only if it is empty".
"""

from __future__ import annotations

import struct

from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.cluster.netlink import NETFILTER, NOT_RECURSIVE, Netlink, message, text
from kubedoctor.components import Cleanup
from kubedoctor.errors import KubedoctorError
from kubedoctor.facts import FactError
from kubedoctor.host import nftables

OF_IPTABLES = ("filter", "nat", "mangle", "raw", "security")

_BATCH_BEGIN, _BATCH_END = 0x10, 0x11  # linux/netfilter/nfnetlink.h
_NFTABLES = 10
_DELETE_TABLE, _DELETE_CHAIN = 2, 5  # NFT_MSG_*
_GENERIC = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource


def look(cleanup: Cleanup) -> Before:
    """Return the families that have a table of this name."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, there=tuple(_families(cleanup.name)))


def tell(one: Before, record: HostRecord) -> list[str]:
    """Return a line for each table that has come."""
    del record
    return [f"would remove nftables table {family} {one.name}" for family in _new(one)]


def clear(one: Before, record: HostRecord) -> None:
    """Remove each table that has come with all that is in it."""
    del record
    for family in _new(one):
        _delete(family, one.name)


def _new(one: Before) -> list[str]:
    return [family for family in _families(one.name) if family not in one.there]


def _families(name: str) -> list[str]:
    return [family for family, table in _tables() if table == name]


def _tables() -> tuple[tuple[str, str], ...]:
    try:
        return nftables.tables()
    except FactError as problem:
        raise KubedoctorError(f"nftables: {problem}") from None


# --- what iptables-nft makes ------------------------------------------------------------------------------------------


def of_iptables() -> list[str]:
    """Return the tables and base chains that iptables-nft makes where it first needs them, as the record has them."""
    found = [f"nft {family} {table}" for family, table in _tables() if _is_iptables(family, table)]
    return found + [f"nft {one.family} {one.table} {one.name}" for one in _base_chains()]


def _is_iptables(family: str, table: str) -> bool:
    return family in ("ip", "ip6") and table in OF_IPTABLES


def _base_chains() -> list[nftables.NftChain]:
    if not _tables():
        return []
    try:
        return [one for one in nftables.chains() if one.hook and _is_iptables(one.family, one.table)]
    except FactError as problem:
        raise KubedoctorError(f"nftables: {problem}") from None


def clear_empty(there: tuple[str, ...]) -> None:
    """Remove such tables and chains that have come, are empty and let everything pass: as if they were not there.

    The kernel refuses when somebody has just put a rule into one; it is theirs then.
    """
    for one in _base_chains():
        is_new = f"nft {one.family} {one.table} {one.name}" not in there
        if is_new and not one.uses and one.policy == "accept":
            _delete(one.family, one.table, one.name, only_empty=True)
    for family, table in _tables():
        if _is_iptables(family, table) and f"nft {family} {table}" not in there:
            _delete(family, table, only_empty=True)


def _delete(family: str, table: str, chain: str = "", *, only_empty: bool = False) -> None:
    """Delete a table, or a chain; with *only_empty* one that is in use stays."""
    number = next(number for number, name in nftables.FAMILIES.items() if name == family)
    body = _GENERIC.pack(number, 0, 0) + text(1, table)
    if chain:
        body += text(3, chain)
    kind = _NFTABLES << 8 | (_DELETE_CHAIN if chain else _DELETE_TABLE)
    flags = NOT_RECURSIVE if only_empty else 0
    edge = _GENERIC.pack(0, 0, _NFTABLES)
    with Netlink(NETFILTER) as talk:
        try:
            talk.ask_all([(kind, body, flags)], wrap=(message(_BATCH_BEGIN, edge), message(_BATCH_END, edge)))
        except OSError as problem:
            if not only_empty:
                raise KubedoctorError(f"nftables table {family} {table} stays: {problem.strerror or problem}") from None
