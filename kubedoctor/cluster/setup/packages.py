"""Which package brings a program, by package manager, and the commands that install it. Pure data and its use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kubedoctor.cluster.setup.machine import Machine
from kubedoctor.records import dataclass

Command = tuple[str, ...]

APT, DNF, ZYPPER, PACMAN, APK = "apt-get", "dnf", "zypper", "pacman", "apk"

PACKAGES: Mapping[str, Mapping[str, str]] = {
    # The variant of iptables that the distribution prefers, which is the one that works on nf_tables.
    "iptables": {APT: "iptables", DNF: "iptables-nft", ZYPPER: "iptables", PACMAN: "iptables", APK: "iptables"},
    "nft": {APT: "nftables", DNF: "nftables", ZYPPER: "nftables", PACMAN: "nftables", APK: "nftables"},
    "ipset": {APT: "ipset", DNF: "ipset", ZYPPER: "ipset", PACMAN: "ipset", APK: "ipset"},
    "mount": {APT: "mount", DNF: "util-linux", ZYPPER: "util-linux", PACMAN: "util-linux", APK: "util-linux"},
    "modprobe": {APT: "kmod", DNF: "kmod", ZYPPER: "kmod", PACMAN: "kmod", APK: "kmod"},
    "sysctl": {APT: "procps", DNF: "procps-ng", ZYPPER: "procps", PACMAN: "procps-ng", APK: "procps-ng"},
    "conntrack": {
        APT: "conntrack", DNF: "conntrack-tools", ZYPPER: "conntrack-tools", PACMAN: "conntrack-tools",
        APK: "conntrack-tools",
    },
    # Alpine from 3.24 on has it as shadow-subids, which provides the older name.
    "newuidmap": {APT: "uidmap", DNF: "shadow-utils", ZYPPER: "shadow", PACMAN: "shadow", APK: "shadow-uidmap"},
    "usermod": {APT: "passwd", DNF: "shadow-utils", ZYPPER: "shadow", PACMAN: "shadow", APK: "shadow"},
}  # fmt: skip
"""Program: package by manager. A program that comes with another one (umount, newgidmap) is not listed."""

_BY_DISTRIBUTION = {
    "debian": APT, "ubuntu": APT, "fedora": DNF, "rhel": DNF, "centos": DNF, "amzn": DNF, "suse": ZYPPER,
    "opensuse": ZYPPER, "sles": ZYPPER, "arch": PACMAN, "alpine": APK,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manager:
    """The package manager of a machine; `name` is "" where there is none we know."""

    name: str
    machine: Machine

    def package_of(self, program: str) -> str:
        """Return the package that brings *program*, "" when we know none."""
        if self.name == DNF and program == "iptables" and self._is_enterprise(8):
            return "iptables"  # which is the nf_tables variant there
        return PACKAGES.get(program, {}).get(self.name, "")

    def package_of_module(self, module: str) -> str:
        """Return the package that holds modules that the kernel's own leaves out, "" where there is none such.

        RHEL 10 has nft_compat and all xt modules in it; clouds' kernels of Ubuntu leave out much.
        """
        del module
        distributions = self.machine.distributions
        if self.name == DNF:
            return f"kernel-modules-extra-{self.machine.kernel}"
        return f"linux-modules-extra-{self.machine.kernel}" if self.name == APT and "ubuntu" in distributions else ""

    def install(self, packages: Iterable[str]) -> list[Command]:
        """Return the commands that install *packages*, [] for none."""
        wanted = tuple(dict.fromkeys(packages))
        if not wanted:
            return []
        return [*self._refresh(), (*self._installer(), *wanted)]

    def _refresh(self) -> Sequence[Command]:
        if self.name == APT:
            return [("apt-get", "update")]
        return []

    def _installer(self) -> Command:
        match self.name:
            case "apt-get":
                return ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends")
            case "dnf":
                tool = next((name for name in ("dnf", "yum", "microdnf") if self.machine.program(name)), "dnf")
                return (tool, "install", "-y")
            case "zypper":
                return ("zypper", "--non-interactive", "install", "--no-recommends")
            case "pacman":
                # Without a list of packages none is found; with one, another list would ask for a whole upgrade.
                listed = any(self.machine.at("/var/lib/pacman/sync").glob("*.db"))
                return ("pacman", "-S" if listed else "-Sy", "--needed", "--noconfirm")
            case _:
                return ("apk", "add")

    def _is_enterprise(self, major: int) -> bool:
        release = self.machine.release
        version = release.get("VERSION_ID", "").partition(".")[0]
        return "rhel" in self.machine.distributions and version == str(major)


def manager_of(machine: Machine) -> Manager:
    """Return the package manager: that of the distribution, else the first that is there.

    Image-based systems have one that cannot install into what runs; they get none.
    """
    if machine.at("/run/ostree-booted").exists():
        return Manager("", machine)
    for distribution in machine.distributions:
        family = distribution.partition("-")[0]  # opensuse-leap
        if family in _BY_DISTRIBUTION:
            return Manager(_BY_DISTRIBUTION[family], machine)
    return Manager(next((name for name in (APT, DNF, ZYPPER, PACMAN, APK) if machine.program(name)), ""), machine)
