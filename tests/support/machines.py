"""Other people's machines, as directories: what they have installed, and what their kernel tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kubedoctor.cluster.setup.machine import Machine

RELEASES = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n',
    "ubuntu": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n',
    "mint": "ID=linuxmint\nID_LIKE='ubuntu debian'\n",
    "fedora": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\n',
    "rhel8": 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="8.10"\n',
    "rocky10": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n',
    "amazon": 'ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n',
    "leap": 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n',
    "tumbleweed": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n',
    "arch": "ID=arch\nBUILD_ID=rolling\n",
    "alpine": "ID=alpine\nVERSION_ID=3.22.1\n",
    "nixos": 'ID=nixos\nVERSION_ID="25.05"\n',
}

KERNEL = "6.12.0-test"
EVERYTHING = ("mount", "iptables", "nft", "ipset", "newuidmap", "usermod", "modprobe", "sysctl", "conntrack")
FILES = {
    "/proc/filesystems": "nodev\tproc\n\text4\nnodev\toverlay\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma\n",
    "/etc/subuid": "ann:100000:65536\n",
    "/etc/subgid": "ann:100000:65536\n",
}


def machine(
    root: Path, release: str, programs: Iterable[str] = EVERYTHING, files: Mapping[str, str | None] | None = None
) -> Machine:
    """Return a machine of this release with *programs* in /usr/sbin; *files* are laid over the usual ones."""
    content = {**FILES, "/etc/os-release": RELEASES[release], **(files or {})}
    for path, text in content.items():
        if text is not None:
            (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (root / path.lstrip("/")).write_text(text)
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    for program in programs:
        (root / "usr/sbin" / program).write_text("")
        (root / "usr/sbin" / program).chmod(0o755)
    return Machine(root, path=("/usr/bin",), kernel=KERNEL)
