"""Counters of nfnetlink_acct that have come: kube-proxy names some in its rules, and leaves them."""

from __future__ import annotations

import struct

from kubedoctor.cluster import netlink
from kubedoctor.cluster.cleanup.record import Before, HostRecord
from kubedoctor.components import Cleanup
from kubedoctor.errors import KubedoctorError
from kubedoctor.facts import FactError
from kubedoctor.host.agent import netlink_dump
from kubedoctor.host.netlink import NETFILTER, attributes, dump_request, messages, text

_SUBSYSTEM = 7 << 8  # NFNL_SUBSYS_ACCT
_GET, _DELETE = 1, 3  # NFNL_MSG_ACCT_*
_GENERIC = struct.Struct("!BBH")  # struct nfgenmsg
_NAME = 1  # NFACCT_NAME


def look(cleanup: Cleanup) -> Before:
    """Return whether there is a counter of this name."""
    return Before(trace=cleanup.trace.value, name=cleanup.name, was_there=cleanup.name in _names())


def _names() -> set[str]:
    """Return the names of all counters, none where the kernel has no such thing."""
    try:
        data = netlink_dump(NETFILTER, dump_request(_SUBSYSTEM | _GET, _GENERIC.pack(0, 0, 0)))
    except FactError:
        return set()
    return {text(attributes(body, _GENERIC.size).get(_NAME, b"")) for _, body in messages(data)}


def tell(one: Before, _record: HostRecord) -> list[str]:
    """Return a line when the counter has come."""
    return [f"would remove counter {one.name}"] if not one.was_there and one.name in _names() else []


def clear(one: Before, record: HostRecord) -> None:
    """Remove the counter; the kernel refuses while a rule names it."""
    if not tell(one, record):
        return
    body = _GENERIC.pack(0, 0, 0) + netlink.text(_NAME, one.name)
    with netlink.Netlink(netlink.NETFILTER) as talk:
        try:
            talk.ask(_SUBSYSTEM | _DELETE, body)
        except OSError as problem:
            raise KubedoctorError(f"counter {one.name} stays: {problem.strerror or problem}") from None
