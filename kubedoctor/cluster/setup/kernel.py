"""What the kernel has to be able to do for a node, tried in namespaces of its own: no list of modules tells for sure.

A module that is not loaded is loaded by the kernel when it is first used, as it would be by the node.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kubedoctor.cluster import kernel, netlink, sandbox
from kubedoctor.cluster.setup.machine import Machine
from kubedoctor.records import dataclass

_PATIENCE = 5.0
"""Seconds for one call of iptables or nft; it takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something the kernel can do or not; `rule` shows it, `module` brings it, `used_for` tells why it is wanted."""

    module: str
    used_for: str
    rule: str = ""
    table: str = "nat"


OVERLAY = Feature("overlay", "the layers of images")

IPTABLES = (
    Feature("xt_comment", "services and host ports", "-m comment --comment x"),
    Feature("xt_conntrack", "services", "-m conntrack --ctstate RELATED,ESTABLISHED"),
    Feature("xt_mark", "services and host ports", "-m mark --mark 0x4000/0x4000 -j MARK --or-mark 0x8000"),
    Feature("xt_statistic", "services with several pods", "-m statistic --mode random --probability 0.5"),
    Feature("xt_addrtype", "node ports", "-m addrtype --dst-type LOCAL"),
    Feature("xt_multiport", "host ports", "-p tcp -m multiport --dports 80,81"),
    Feature("xt_nat", "services", "-p tcp -j DNAT --to-destination 192.0.2.1:80"),
    Feature("xt_MASQUERADE", "services", "-j MASQUERADE"),
    Feature("ipt_REJECT", "services without pods", "-j REJECT", table="filter"),
)
"""What kube-proxy's rules and those of the CNI plugin portmap are made of."""

_LATE = "add chain ip t p { type nat hook postrouting priority 100; }"
NFT = (
    Feature("nft_chain_nat", "services", "add chain ip t n { type nat hook prerouting priority -100; }"),
    Feature("nft_numgen", "services with several pods", "add rule ip t c numgen random mod 2 vmap { 0 : accept }"),
    Feature("nft_fib_ipv4", "node ports", "add rule ip t c fib daddr type local accept"),
    Feature("nft_ct", "services", "add rule ip t c ct state new accept"),
    Feature("nft_masq", "services", f"{_LATE}\nadd rule ip t p masquerade"),
    Feature("nft_reject_ipv4", "services without pods", "add rule ip t c reject"),
)
"""What kube-proxy's rules in its mode nftables are made of."""

_TABLE = "add table ip t\nadd chain ip t c\n"

SERVERS = Feature("ip_vs", "services")
IPVS = (
    SERVERS,
    Feature("ip_set_hash_ipport", "addresses of services", "create t hash:ip,port"),
    Feature("ip_set_bitmap_port", "node ports", "create t bitmap:port range 0-65535"),
)
"""What kube-proxy needs in its mode ipvs besides rules of iptables."""

_CONTROL, _GET_FAMILY, _FAMILY_NAME = 0x10, 3, 2
"""linux/genetlink.h: GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME."""


def lacking(machine: Machine, *, iptables: bool, nft: bool, ipvs: bool = False) -> dict[Feature, str]:
    """Return the features that are missing, with what the kernel or program says; {} when all are there.

    On this machine they are tried, elsewhere they are looked for among modules and file systems. Nothing is told of
    rules where the program that writes them is missing.
    """
    rules = (*(IPTABLES if iptables else ()), *(NFT if nft else ()), *(IPVS if ipvs else ()))
    if machine.is_ours:
        return _tried(machine, iptables=iptables, nft=nft, ipvs=ipvs)
    found = {} if "overlay" in machine.filesystems() or machine.has_module("overlay") else {OVERLAY: "no such module"}
    known = machine.has_modules  # else the kernel may have everything built in
    return found | {f: "no such module" for f in rules if known and not machine.has_module(f.module)}


def _tried(machine: Machine, *, iptables: bool, nft: bool, ipvs: bool) -> dict[Feature, str]:
    """Try everything in a child with namespaces of its own; what cannot be tried is not said to be missing."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    go, gone = os.pipe2(os.O_CLOEXEC)
    privileged = os.geteuid() == 0
    try:
        pid, pidfd = kernel.clone(sandbox.namespaces(privileged=privileged))
    except OSError:
        for descriptor in (told, tell, go, gone):
            os.close(descriptor)
        return {}
    if pid == 0:
        os.close(gone)
        os.read(go, 1)  # until the user map is there
        _try_all(machine, tell, iptables=iptables, nft=nft, ipvs=ipvs)
    os.close(tell)
    os.close(go)
    try:
        if not privileged:
            kernel.map_user(pid)
        os.write(gone, b"\0")
        with open(told, "rb", closefd=False) as answers:
            said = answers.read()
    except OSError:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        said = b""
    finally:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        for descriptor in (told, gone, pidfd):
            os.close(descriptor)
    by_module = {feature.module: feature for feature in (OVERLAY, *IPTABLES, *NFT, *IPVS)}
    return {by_module[module]: reason for module, reason in json.loads(said or b"{}").items()}


def _try_all(machine: Machine, tell: int, *, iptables: bool, nft: bool, ipvs: bool) -> None:
    """The child: does not return."""
    found: dict[str, str] = {}
    try:
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("own", "/run", "tmpfs", 0, "mode=0755")  # iptables' lock, and the room for what follows
        if reason := _overlay_refusal():
            found[OVERLAY.module] = reason
        if iptables and (program := machine.program("iptables-restore")):
            found |= _failing(IPTABLES, lambda some: _restored(program, some))
        if nft and (program := machine.program("nft")):
            found |= _failing(NFT, lambda some: _ruled(program, some))
        if ipvs and (reason := _servers_refusal()):
            found[SERVERS.module] = reason
        if ipvs and (program := machine.program("ipset")):
            sets = [feature for feature in IPVS if feature.rule]
            found |= {one.module: reason for one in sets if (reason := _said([program, *one.rule.split()], ""))}
    except (OSError, subprocess.SubprocessError):
        found = {}  # it cannot be tried here
    finally:
        os.write(tell, json.dumps(found).encode())
        os._exit(0)


def _overlay_refusal() -> str:
    room = Path("/run/overlay")
    for name in ("lower", "upper", "work", "merged"):
        (room / name).mkdir(parents=True)
    options = f"lowerdir={room}/lower,upperdir={room}/upper,workdir={room}/work"
    try:
        kernel.mount("overlay", str(room / "merged"), "overlay", 0, options)
    except OSError as problem:
        if problem.errno == errno.ENODEV:
            return "the kernel does not know the file system"
        return problem.strerror or str(problem)
    return ""


def _servers_refusal() -> str:
    """Return why the kernel has no virtual servers, "" when it has; asked for by name, it loads what has them."""
    asked = struct.pack("=BBH", _GET_FAMILY, 1, 0) + netlink.text(_FAMILY_NAME, "IPVS")
    try:
        with netlink.Netlink(netlink.GENERIC) as conversation:
            conversation.ask(_CONTROL, asked)
    except OSError as problem:
        if problem.errno == errno.ENOENT:
            return "the kernel has no virtual servers"
        return problem.strerror or str(problem)
    return ""


def _failing(features: Sequence[Feature], attempt: Callable[[Sequence[Feature]], str]) -> Mapping[str, str]:
    """Return which of *features* fail, by module: all are tried at once, and one by one where that fails."""
    if not attempt(features):
        return {}
    return {feature.module: reason for feature in features if (reason := attempt([feature]))}


def _restored(program: str, features: Sequence[Feature]) -> str:
    """Return why a set of rules is refused, "" when it is taken."""
    lines = []
    for table in ("nat", "filter"):
        rules = [f"-A T {feature.rule}" for feature in features if feature.table == table]
        lines += [f"*{table}", ":T - [0:0]", *rules, "COMMIT"]
    return _said([program], "\n".join(lines) + "\n")


def _ruled(program: str, features: Sequence[Feature]) -> str:
    rules = "".join(f"{feature.rule}\n" for feature in features)
    return _said([program, "-f", "-"], f"{_TABLE}{rules}delete table ip t\n")


def _said(argv: Sequence[str], text: str) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[0] if lines else f"exit status {done.returncode}"
