"""What this machine lacks for a node, each with what brings it."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from kubedoctor.cluster.setup.kernel import Feature, lacking
from kubedoctor.cluster.setup.machine import Machine
from kubedoctor.cluster.setup.packages import Command, Manager, manager_of
from kubedoctor.cluster.subordinate import IDS, first_free, ranges
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

_SETTINGS_FILE = "/etc/sysctl.d/60-kubedoctor.conf"
_SETTINGS = {"kernel.unprivileged_userns_clone": "1", "kernel.apparmor_restrict_unprivileged_userns": "0"}
"""Settings of Debian's and Ubuntu's kernels, with the value that lets ordinary users make user namespaces."""
_NAMESPACES = "user.max_user_namespaces"


@dataclass(frozen=True, slots=True)
class Step:
    """A command to be run as root, and what it is given on stdin."""

    argv: Command
    text: str = ""

    def __str__(self) -> str:
        line = " ".join(word if re.fullmatch(r"[\w@%+=:,./-]+", word) else f"'{word}'" for word in self.argv)
        return f"{line} <<< '{self.text.strip()}'" if self.text else line


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that is missing: `why` it is wanted, and `packages` or `steps` that bring it.

    Without either nothing can be done by commands; `advice` tells what a person may do. `optional`: a node runs
    without it.
    """

    what: str
    why: str
    packages: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    advice: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The node wished for: `proxy_mode` of kube-proxy, "" for the usual one; `user` whose it is, "" for root."""

    proxy_mode: str = ""
    user: str = ""


def missing_for_node(
    wish: Wish,
    machine: Machine | None = None,
    *,
    features: Callable[..., dict[Feature, str]] = lacking,
) -> list[Missing]:
    """Return what the machine lacks for a node, what is needed before what is optional; [] when nothing is missing."""
    machine = machine or Machine()
    manager = manager_of(machine)
    if not wish.proxy_mode and not machine.program("iptables") and machine.program("nft"):
        wish = replace(wish, proxy_mode="nftables")  # as kube-proxy is told to then
    found = [
        *_programs(wish, machine, manager),
        *_kernel(wish, machine, manager, features),
        *_controllers(machine),
        *(_of_users(wish.user, machine, manager) if wish.user else ()),
    ]
    return sorted(found, key=lambda one: one.optional)


def require_for_node(wish: Wish) -> None:
    """Raise KubedoctorError with all that is missing, before anything is begun."""
    lacks = [one for one in missing_for_node(wish) if not one.optional]
    if lacks:
        option = f" --kube-proxy-mode {wish.proxy_mode}" if wish.proxy_mode else ""
        listed = ", ".join(f"{one.what} ({one.why})" for one in lacks)
        raise KubedoctorError(
            f"this machine lacks what a node needs: {listed}",
            hint=f"make it ready: kubedoctor setup{option}\nor without a node: kubedoctor up --no-node",
        )


def steps_for(missing: Sequence[Missing], machine: Machine | None = None) -> list[Step]:
    """Return what is to be run for *missing*, in order: packages in one go, then the rest."""
    manager = manager_of(machine or Machine())
    packages = [package for one in missing for package in one.packages]
    steps = [Step(argv) for argv in manager.install(packages)]
    return [*steps, *dict.fromkeys(step for one in missing for step in one.steps)]


def current_user() -> str:
    """Return the name of an ordinary user, "" for root."""
    if os.geteuid() == 0:
        return ""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _programs(wish: Wish, machine: Machine, manager: Manager) -> Iterator[Missing]:
    wanted = [("mount", "the kubelet mounts volumes with it")]
    if wish.proxy_mode == "nftables":
        wanted.append(("nft", "kube-proxy writes services with it"))
    else:
        wanted.append(("iptables", "kube-proxy writes services with it"))
    if wish.proxy_mode == "ipvs":
        wanted.append(("ipset", "kube-proxy keeps addresses with it"))
    if wish.user:
        wanted.append(("newuidmap", "containers have more users than one"))
    for program, why in wanted:
        if not machine.program(program):
            yield _program(program, why, manager)
    if not machine.program("conntrack"):
        yield _program("conntrack", "to look at connections", manager, optional=True)


def _program(program: str, why: str, manager: Manager, *, optional: bool = False) -> Missing:
    package = manager.package_of(program)
    return Missing(
        what=program,
        why=why,
        packages=(package,) if package else (),
        advice="" if package else f"install {program} as this system installs programs",
        optional=optional,
    )


def _kernel(
    wish: Wish, machine: Machine, manager: Manager, features: Callable[..., dict[Feature, str]]
) -> Iterator[Missing]:
    nft = wish.proxy_mode == "nftables"
    for feature, reason in features(machine, iptables=not nft, nft=nft, ipvs=wish.proxy_mode == "ipvs").items():
        yield _module(feature, reason, machine, manager)


def _module(feature: Feature, reason: str, machine: Machine, manager: Manager) -> Missing:
    what, why = f"kernel feature {feature.module}", f"{feature.used_for}: {reason}"
    load = Step(("modprobe", feature.module))
    if machine.has_module(feature.module):
        packages = () if machine.program("modprobe") else (manager.package_of("modprobe"),)
        return Missing(what=what, why=why, packages=tuple(filter(None, packages)), steps=(load,))
    package = manager.package_of_module(feature.module) if machine.has_modules else ""
    if package:
        return Missing(what=what, why=why, packages=(package,), steps=(load,))
    advice = (
        f"kernel {machine.kernel} has no such module: run another kernel"
        if machine.has_modules
        else f"kernel {machine.kernel} has no modules here: boot the kernel that is installed, or run another one"
    )
    return Missing(what=what, why=why, advice=advice)


def _controllers(machine: Machine) -> Iterator[Missing]:
    """Yield the cgroup controllers that a kubelet does not start without."""
    unified = machine.read("/sys/fs/cgroup/cgroup.controllers").split()
    enabled = {"cpu", "cpuset", "memory", "pids"} & set(unified)
    if not unified:
        table = (line.split() for line in machine.read("/proc/cgroups").splitlines() if not line.startswith("#"))
        enabled = {row[0] for row in table if len(row) == 4 and row[3] == "1"}
        if not enabled:
            return  # it cannot be told
    for controller in sorted({"cpu", "cpuset", "memory", "pids"} - enabled):
        yield Missing(
            what=f"cgroup controller {controller}",
            why="the kubelet limits pods with it",
            advice=f"add cgroup_enable={controller} to the kernel's command line and boot again",
        )


# --- ordinary users ---------------------------------------------------------------------------------------------------


def _of_users(user: str, machine: Machine, manager: Manager) -> Iterator[Missing]:
    wrong = {key: value for key, value in _SETTINGS.items() if machine.setting(key) not in ("", value)}
    if machine.setting(_NAMESPACES) == "0":
        wrong[_NAMESPACES] = "15000"
    if wrong:
        packages = () if machine.program("sysctl") else (manager.package_of("sysctl"),)
        text = "".join(f"{key} = {value}\n" for key, value in wrong.items())
        yield Missing(
            what=" and ".join(f"{key}={value}" for key, value in wrong.items()),
            why="ordinary users make the node's namespaces; it lets every user make some",
            packages=tuple(filter(None, packages)),
            steps=(Step(("tee", _SETTINGS_FILE), text), Step(("sysctl", "-p", _SETTINGS_FILE))),
        )
    kinds = [kind for kind in ("uid", "gid") if not _has_ids(user, machine.read(f"/etc/sub{kind}"))]
    if kinds:
        packages = () if machine.program("usermod") else (manager.package_of("usermod"),)
        first = first_free(machine.read("/etc/subuid") + "\n" + machine.read("/etc/subgid"))
        options = [word for kind in kinds for word in (f"--add-sub{kind}s", f"{first}-{first + IDS - 1}")]
        yield Missing(
            what=f"{IDS} subordinate {' and '.join(f'{kind}s' for kind in kinds)} of {user}",
            why="containers have more users than one",
            packages=tuple(filter(None, packages)),
            steps=(Step(("usermod", *options, user)),),
        )


def _has_ids(user: str, text: str) -> bool:
    return any(name == user and given.count >= IDS for name, given in ranges(text))
