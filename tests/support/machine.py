"""What a run could leave behind on the machine, as one comparable value."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PREFIX, PLACE = "kubedoctor-", "node-1"


def snapshot(home: Path) -> dict[str, frozenset[str]]:
    """Return all that may not change by a cluster coming and going; processes are those that know of *home*."""
    return {
        "processes": frozenset(processes(home)),
        "mounts": frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        "interfaces": frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        "cgroups": frozenset(_cgroups(home)),
        "routes": frozenset(Path("/proc/net/route").read_text().splitlines()),
        "sysvipc": frozenset(
            line.split()[0] for name in ("shm", "sem", "msg") for line in _lines(f"/proc/sysvipc/{name}")[1:]
        ),
        "shm": frozenset(path.name for path in Path("/dev/shm").iterdir()),
        "sysctls": frozenset(_sysctls()),
    }


def everything(home: Path) -> dict[str, frozenset[str]]:
    """Return the above, and all that a node could change beyond it."""
    return {
        **snapshot(home),
        "rules": frozenset(
            f"{' '.join(argv)}: {line}"
            for argv in (["iptables-save"], ["ip6tables-save"], ["nft", "list", "ruleset"])
            for line in _told(argv)
            if not line.startswith("#")
        ),
        "namespaces": frozenset(path.name for path in Path("/run/netns").glob("*")),
        "listeners": frozenset(_listeners()),
        "sysctls": frozenset(_all_sysctls()),
        "modules": frozenset(line.split()[0] for line in _lines("/proc/modules")),
        "files": frozenset(
            str(path)
            for directory in ("/run", "/etc", "/opt", "/tmp", "/var/lib", "/var/log", "/usr/libexec", "/var/run")
            for path in Path(directory).iterdir()
            if not path.name.startswith(("pytest-", "tmp", "go-build"))
        ),
    }


def difference(before: dict[str, frozenset[str]], after: dict[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return by kind what is there after and was not before, and what is gone."""
    return {
        kind: [f"+ {item}" for item in sorted(after[kind] - before[kind])]
        + [f"- {item}" for item in sorted(before[kind] - after[kind])]
        for kind in before
        if before[kind] != after[kind]
    }


def processes(home: Path) -> list[str]:
    """Return the processes whose command line or environment names *home*, zombies left out, and our own."""
    found, needle = [], os.fsencode(home)
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            name = (directory / "comm").read_text().strip()
            state = (directory / "stat").read_text().rpartition(")")[2].split()[0]
            told = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if state != "Z" and needle in told and int(directory.name) != os.getpid():
            found.append(f"{directory.name} {name}")
    return found


def _cgroups(home: Path) -> list[str]:
    """Return the groups of our naming, but for those of clusters in other homes, which may run beside the test."""
    # `os.walk` passes over those that disappear while it looks.
    found = (Path(upper, name) for upper, names, _ in os.walk(CGROUPS) for name in names if name.startswith(PREFIX))
    return [str(path) for path in found if _is_of(home, path.name)]


def _is_of(home: Path, group: str) -> bool:
    """Return whether a node's group is that of a cluster in *home*; those of other kinds are taken for it."""
    cluster, is_of_node, mark = group.removeprefix(PREFIX).rpartition(f"-{PLACE}-")
    place = f"{home}/clusters/{cluster}/places/{PLACE}"
    return not is_of_node or mark == hashlib.sha256(place.encode()).hexdigest()[:8]  # ClusterConfig.node_cgroup


def _sysctls() -> list[str]:
    """Return the settings that a cluster could change for everybody; counters of the kernel are none."""
    names = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom", "net/ipv4/ip_forward")
    return [f"{name} {Path('/proc/sys', name).read_text().strip()}" for name in names]


CHANGING = (
    "fs/dentry-state", "fs/file-nr", "fs/inode-nr", "fs/inode-state", "fs/quota", "kernel/ns_last_pid", "kernel/random",
    "kernel/pty/nr", "kernel/perf", "fs/nfs", "vm/stat_refresh", "net/netfilter/nf_conntrack_count", "kernel/keys/",
    "net/ipv4/tcp_fastopen_key", "kernel/sched_domain", "vm/drop_caches", "kernel/usermodehelper", "debug/",
)  # fmt: skip
"""Settings that count or that are made anew whenever they are read."""


def _all_sysctls() -> list[str]:
    """Return every setting that can be read; an interface's may disappear while we look, as groups do."""
    found = []
    for path in (Path(upper, file) for upper, _, files in os.walk("/proc/sys") for file in files):
        name = str(path.relative_to("/proc/sys"))
        with contextlib.suppress(OSError):
            if not name.startswith(CHANGING) and path.stat().st_mode & 0o444:
                found.append(f"{name} {path.read_bytes()[:200]!r}")
    return found


def _listeners() -> list[str]:
    """Return the addresses that TCP sockets of this namespace listen on."""
    return [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in _lines(f"/proc/net/{table}")[1:]
        if line.split()[3] == "0A"
    ]


def _told(argv: list[str]) -> list[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
