"""Network namespaces with links, routes and packet filter rules of a test's own; gone with whoever holds them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pytest
from support.children import child

from kubedoctor import Fact
from kubedoctor.doctor.look import SharedLook
from kubedoctor.host.agent import dismiss, netlink_dump, prepare
from kubedoctor.host.netlink import dump_request

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """A network namespace. `entered`: the namespaces of its holder that a command is run in."""

    net: int
    entered: tuple[str, ...] = ("--user", "--net")

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command in it and return what it printed."""
        words = ["nsenter", "--preserve-credentials", *self.entered, f"--target={self.net}", *argv]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code in it."""
        return self.run(sys.executable, "-c", code, *arguments)

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a fact says now."""
        prepare([self.net])  # the end of another network dismisses all agents
        return SharedLook().get(fact, *args, **kwargs)

    def dump(self, protocol: int, kind: int, body: bytes) -> bytes:
        """Return what the kernel answers to a netlink dump."""
        prepare([self.net])
        return netlink_dump(protocol, dump_request(kind, body), net=self.net)


@contextlib.contextmanager
def network(*commands: str, as_root: bool = False) -> Iterator[Network]:
    """Yield a network of `lo` and of what the commands make.

    A user namespace of its own owns it, so an ordinary user may do everything in it; *as_root* does without.
    """
    owned = () if as_root else ("--user", "--map-root-user")
    with child("wait('ready')", prefix=("unshare", *owned, "--net")) as (process, _):
        made = Network(process.pid, ("--net",) if as_root else ("--user", "--net"))
        made.run("ip", "link", "set", "lo", "up")
        for command in commands:
            made.run(*command.split())
        try:
            yield made
        finally:
            dismiss()


def needs(*programs: str) -> None:
    """Skip the test where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


KUBE_PROXY = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-54LTP6ONNIIODHJP - [0:0]
:KUBE-SEP-HMQVZHMME7GNOAFI - [0:0]
:KUBE-SEP-QLI57GSQF6DMI6LJ - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-CXZHUCCWTMX77ZOF - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/two" -m tcp --dport 443 -j KUBE-SVC-CXZHUCCWTMX77ZOF
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-54LTP6ONNIIODHJP -s 10.88.0.5/32 -m comment --comment "default/two" -j KUBE-MARK-MASQ
-A KUBE-SEP-54LTP6ONNIIODHJP -p tcp -m comment --comment "default/two" -m recent --set --name KUBE-SEP-54LTP6ONNIIODHJP --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.88.0.5:8080
-A KUBE-SEP-HMQVZHMME7GNOAFI -s 198.18.0.1/32 -m comment --comment "default/kubernetes:https" -j KUBE-MARK-MASQ
-A KUBE-SEP-HMQVZHMME7GNOAFI -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 198.18.0.1:6443
-A KUBE-SEP-QLI57GSQF6DMI6LJ -s 10.88.0.6/32 -m comment --comment "default/two" -j KUBE-MARK-MASQ
-A KUBE-SEP-QLI57GSQF6DMI6LJ -p tcp -m comment --comment "default/two" -m recent --set --name KUBE-SEP-QLI57GSQF6DMI6LJ --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.88.0.6:8080
-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SERVICES -d 10.0.0.31/32 -p tcp -m comment --comment "default/two cluster IP" -m tcp --dport 80 -j KUBE-SVC-CXZHUCCWTMX77ZOF
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-CXZHUCCWTMX77ZOF ! -s 10.88.0.0/16 -d 10.0.0.31/32 -p tcp -m comment --comment "default/two cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-CXZHUCCWTMX77ZOF -m comment --comment "default/two -> 10.88.0.5:8080" -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-54LTP6ONNIIODHJP --mask 255.255.255.255 --rsource -j KUBE-SEP-54LTP6ONNIIODHJP
-A KUBE-SVC-CXZHUCCWTMX77ZOF -m comment --comment "default/two -> 10.88.0.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-54LTP6ONNIIODHJP
-A KUBE-SVC-CXZHUCCWTMX77ZOF -m comment --comment "default/two -> 10.88.0.6:8080" -j KUBE-SEP-QLI57GSQF6DMI6LJ
-A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.88.0.0/16 -d 10.0.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-MARK-MASQ
-A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment "default/kubernetes:https -> 198.18.0.1:6443" -j KUBE-SEP-HMQVZHMME7GNOAFI
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SERVICES -d 10.0.0.30/32 -p tcp -m comment --comment "default/nothing has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""  # noqa: E501 - as iptables-save prints the rules that kube-proxy 1.37.2 makes
"""The rules of three services: `kubernetes`, one of two pods with session affinity, one without any."""

KUBE_PROXY_NFTABLES = """\
table ip kube-proxy {
  set cluster-ips { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.30, 10.0.0.31 } }
  set nodeport-ips { type ipv4_addr; elements = { 198.18.0.1 } }
  map no-endpoint-services {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.0.0.30 . tcp . 80 comment "default/nothing" : goto reject-chain }
  }
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.0.0.31 . tcp . 80 : goto service-B372WZYI-default/two/tcp/,
                 10.0.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https }
  }
  map service-nodeports { type inet_proto . inet_service : verdict; }
  set affinity-VSLJSIR7 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 3h; }
  chain filter-forward {
    type filter hook forward priority filter; policy accept;
    ct state new jump service-endpoints-check
    ct state new jump cluster-ips-check
  }
  chain filter-output {
    type filter hook output priority filter; policy accept;
    ct state new jump service-endpoints-check
    ct state new jump cluster-ips-check
  }
  chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }
  chain nat-output { type nat hook output priority -100; policy accept; jump services; }
  chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
  chain services {
    ip daddr @cluster-ips ip saddr != 10.88.0.0/16 meta mark set meta mark or 0x4000 comment "masquerade"
    ip daddr . meta l4proto . th dport vmap @service-ips
    ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }
  chain cluster-ips-check {
    ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
    ip daddr 10.0.0.0/24 drop comment "Drop traffic to unallocated ClusterIPs"
  }
  chain reject-chain { reject; }
  chain service-2QRHZV4L-default/kubernetes/tcp/https { meta l4proto tcp dnat to 198.18.0.1:6443; }
  chain endpoint-VSLJSIR7-default/two/tcp/__10.88.0.5/8080 {
    update @affinity-VSLJSIR7 { ip saddr }
    meta l4proto tcp dnat to 10.88.0.5:8080
  }
  chain endpoint-A2EHCW23-default/two/tcp/__10.88.0.6/8080 { meta l4proto tcp dnat to 10.88.0.6:8080; }
  chain service-B372WZYI-default/two/tcp/ {
    ip saddr @affinity-VSLJSIR7 goto endpoint-VSLJSIR7-default/two/tcp/__10.88.0.5/8080
    numgen random mod 2 vmap { 0 : goto endpoint-VSLJSIR7-default/two/tcp/__10.88.0.5/8080,
                               1 : goto endpoint-A2EHCW23-default/two/tcp/__10.88.0.6/8080 }
  }
}
"""
"""The same services as kube-proxy makes them in nftables mode, a little shorter."""
