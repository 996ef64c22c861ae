"""A table of nftables that masquerades, as long as somebody holds it. Standard library only.

With the flag `owner` (Linux 5.12) a table takes rules from its maker only and disappears with the maker's socket,
SIGKILL included; `nft flush ruleset` spares it.
"""

from __future__ import annotations

import errno
import socket
import struct

from kubedoctor.cluster.netlink import (
    APPEND,
    CREATE,
    EXCLUSIVE,
    NETFILTER,
    Netlink,
    attribute,
    message,
    nested,
    text,
)

_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = _SUBSYSTEM | 0, _SUBSYSTEM | 3, _SUBSYSTEM | 6
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_GENERIC = struct.Struct("!BBH")  # family, version, resource: struct nfgenmsg
_IP = _GENERIC.pack(socket.AF_INET, 0, 0)
_OWNER = 0x2  # NFT_TABLE_F_OWNER
_POSTROUTING, _SOURCE_NAT = 4, 100
_REGISTER, _NETWORK_HEADER, _SOURCE_OFFSET, _EQUAL = 1, 1, 12, 0
_OUTPUT_NAME = 7  # NFT_META_OIFNAME
_NAME_BYTES = 16  # IFNAMSIZ
_CHAIN = "postrouting"


def of_source(table: str, address: str) -> Netlink:
    """Masquerade what comes from *address*; return the conversation that the table lives by."""
    payload = _expression("payload", _u32(1, _REGISTER), _u32(2, _NETWORK_HEADER), _u32(3, _SOURCE_OFFSET), _u32(4, 4))
    return _make(table, payload, _equals(socket.inet_aton(address)), flags=_OWNER)


def by_interface(table: str, interface: str) -> None:
    """Masquerade what leaves by *interface*, as long as this network namespace is there."""
    meta = _expression("meta", _u32(1, _REGISTER), _u32(2, _OUTPUT_NAME))
    _make(table, meta, _equals(interface.encode().ljust(_NAME_BYTES, b"\0")), flags=0).close()


def _make(table: str, *conditions: bytes, flags: int) -> Netlink:
    hook = nested(4, _u32(1, _POSTROUTING), _u32(2, _SOURCE_NAT))
    rule = nested(4, *conditions, _expression("masq"))
    begin_and_end = _GENERIC.pack(0, 0, _SUBSYSTEM >> 8)
    talk = Netlink(NETFILTER)
    try:
        talk.ask_all(
            [
                (_NEW_TABLE, _IP + text(1, table) + _u32(2, flags), CREATE | EXCLUSIVE),
                (_NEW_CHAIN, _IP + text(1, table) + text(3, _CHAIN) + hook + text(7, "nat"), CREATE),
                (_NEW_RULE, _IP + text(1, table) + text(2, _CHAIN) + rule, CREATE | APPEND),
            ],
            wrap=(message(_BATCH_BEGIN, begin_and_end), message(_BATCH_END, begin_and_end)),
        )
    except OSError as problem:
        talk.close()
        if problem.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL, errno.ENOENT):
            why = "this kernel cannot (nf_tables with nft_chain_nat and nft_masq is needed, of Linux 5.12 or later)"
            raise OSError(problem.errno, why) from None
        raise
    return talk


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _u32(1, _REGISTER), _u32(2, _EQUAL), nested(3, attribute(1, value)))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))
