"""What resolv.conf says, read as the C library and Go read it. Standard library only."""

from __future__ import annotations

import ipaddress
from dataclasses import field

from kubedoctor.facts import Look, fact
from kubedoctor.host.files import read_text
from kubedoctor.records import dataclass

_MOST = 1000
"""Entries of one kind that are kept: programs use three servers, kubelets 32 search domains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    """Name servers and search domains in their order; `options` as written (`ndots:5`, `rotate`).

    A server that is no IP address is left out, as programs do; `odd` has such lines' first words.
    """

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    odd: tuple[str, ...] = field(default_factory=tuple)

    @property
    def loopback(self) -> tuple[str, ...]:
        """The servers on this machine itself: a stub like systemd-resolved, dnsmasq."""
        return tuple(one for one in self.servers if ipaddress.ip_address(one.partition("%")[0]).is_loopback)


@fact("host.resolv-conf")
def resolv_conf(look: Look, path: str = "/etc/resolv.conf", root: int = 0) -> ResolvConf:
    """What a resolv.conf says, seen from the root directory of process *root* (0: ours)."""
    del look
    return parse_resolv_conf(read_text(path, root=root))


def parse_resolv_conf(text: str) -> ResolvConf:
    """Return what the text says: each `nameserver`, the last `search` or `domain`, all `options`."""
    servers: list[str] = []
    odd: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and len(words) > 1:
            (servers if _is_address(words[1]) else odd).append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1 : _MOST if words[0] == "search" else 2])
        elif words[0] == "options":
            options += words[1:]
        else:
            odd.append(words[0])
    return ResolvConf(
        servers=tuple(servers[:_MOST]), search=search, options=tuple(options[:_MOST]), odd=tuple(odd[:_MOST])
    )


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True
