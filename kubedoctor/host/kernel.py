"""The kernel: its settings, modules and filesystems. Nothing is loaded to find out. Standard library only."""

from __future__ import annotations

import os
import re
from enum import StrEnum

from kubedoctor.facts import Absent, FactError, Look, Malformed, fact
from kubedoctor.host.errors import printable
from kubedoctor.host.files import list_directory, read_text
from kubedoctor.host.socket_agent import read_network_setting
from kubedoctor.records import dataclass

_KEY = re.compile(r"[A-Za-z0-9_.:@/+-]+")
_INDEX = 32 << 20
"""Bytes of modules.dep: a distribution's has one."""


class ModuleState(StrEnum):
    """Whether a part of the kernel is there."""

    LOADED = "loaded"
    BUILT_IN = "built-in"
    LOADABLE = "loadable"
    ABSENT = "absent"  # nowhere to be found, which does not prove that the kernel cannot do it


@dataclass(frozen=True, slots=True)
class Modules:
    """Names of modules with `_` for `-`."""

    loaded: frozenset[str]
    built_in: frozenset[str]
    loadable: frozenset[str]


@fact("host.sysctl")
def sysctl(look: Look, key: str, net: int = 0) -> str:
    """The value of a kernel setting, as `net.ipv4.ip_forward` or with `/`; `net.*` in the network of process *net*.

    Raise Absent when this kernel has no such setting, or not yet: those of a module come with it.
    """
    del look
    if not _KEY.fullmatch(key) or ".." in key:
        raise Malformed(f"`{printable(key)}` is not the name of a kernel setting")
    path = key if "/" in key else key.replace(".", "/")
    if path.startswith("net/"):
        return read_network_setting(path, net=net).decode(errors="replace").strip()
    return read_text(f"/proc/sys/{path}").strip()


@fact("host.kernel-release")
def kernel_release(look: Look) -> str:
    """The release of the running kernel, as `6.1.0-18-amd64`."""
    del look
    return os.uname().release


@fact("host.filesystems")
def filesystems(look: Look) -> tuple[str, ...]:
    """The filesystems the kernel can mount now, sorted; more may be loadable."""
    del look
    return tuple(sorted({line.split()[-1] for line in read_text("/proc/filesystems").splitlines() if line.strip()}))


@fact("host.kernel-module")
def kernel_module(look: Look, name: str) -> ModuleState:
    """Whether a module is loaded, built in, or could be loaded."""
    found = look.get(kernel_modules)
    wanted = name.replace("-", "_")
    if wanted in found.built_in:
        return ModuleState.BUILT_IN
    if wanted in found.loaded:
        return ModuleState.LOADED
    return ModuleState.LOADABLE if wanted in found.loadable else ModuleState.ABSENT


@fact("host.kernel-modules", recorded=False)
def kernel_modules(look: Look) -> Modules:
    """All modules that are loaded, built in or installed for the running kernel."""
    directory = f"/lib/modules/{look.get(kernel_release)}"
    built_in = parse_module_paths(_text_or_nothing(f"{directory}/modules.builtin"))
    # /sys/module also lists what is built in and has parameters; a kernel without modules has no /proc/modules.
    listed = {line.split()[0].replace("-", "_") for line in _text_or_nothing("/proc/modules").splitlines() if line}
    try:
        present = frozenset(one.replace("-", "_") for one in list_directory("/sys/module"))
    except FactError:
        present = frozenset()
    loadable = parse_module_paths(_text_or_nothing(f"{directory}/modules.dep"))
    return Modules(
        loaded=frozenset(listed) | (present & loadable),
        built_in=built_in | (present - listed - loadable),
        loadable=loadable,
    )


def parse_module_paths(text: str) -> frozenset[str]:
    """Return the names in modules.builtin or modules.dep: `kernel/fs/ext4/ext4.ko.zst: …`."""
    names = (line.partition(":")[0].rpartition("/")[2].partition(".ko")[0] for line in text.splitlines())
    return frozenset(name.replace("-", "_") for name in names if name)


def _text_or_nothing(path: str) -> str:
    try:
        return read_text(path, limit=_INDEX)
    except Absent:
        return ""
