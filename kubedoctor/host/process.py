"""The processes of the machine, as /proc shows them. Standard library only.

All of them in one pass: ten thousand processes are a busy machine, so each costs few system calls and no object that is
not kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import field

from kubedoctor.facts import Look, fact
from kubedoctor.host.errors import as_fact_errors
from kubedoctor.host.process_stat import TICKS, boot_time, parse_stat
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass

NAMESPACES = ("mnt", "net", "pid", "user")

_CUT = 128 << 10
"""Bytes of a command line that are read: a component's has some thousand."""
_ENVIRONMENT = 256 << 10
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of linux/sched.h, in the flags of /proc/PID/stat
_NAMES = frozenset({"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "KUBECONFIG", "NOTIFY_SOCKET"})
_PREFIXES = ("ETCD_", "KUBEDOCTOR_", "K3S_", "K0S_", "CONTAINERD_", "KUBERNETES_SERVICE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process; texts are valid Unicode, with `�` for bytes that are not, and hold no secret.

    What we have no right to see is None (`environment`, `root_is_ours`), empty (`executable`, `directory`) or missing
    (`namespaces`). A kernel thread has no `argv`.
    """

    pid: int
    parent: int
    name: str  # as ps and top show it, at most 15 bytes
    state: str  # R, S, D, T, Z
    start_ticks: int  # with the pid, who it is until the next boot
    started: float  # seconds since the epoch
    uid: int
    argv: tuple[str, ...] = ()
    argv_cut: bool = False  # there is more of it than was read
    environment: Mapping[str, str] | None = None  # the variables that change what a component does, only those
    executable: str = ""  # seen from its own root directory; ends in ` (deleted)` when it was replaced
    directory: str = ""
    cgroups: Mapping[str, str] = field(default_factory=dict)  # path by controller; that of v2 is ""
    namespaces: Mapping[str, int] = field(default_factory=dict)  # inode numbers by the names in NAMESPACES
    root_is_ours: bool | None = None  # whether it sees the same files as we do

    @property
    def is_kernel_thread(self) -> bool:
        """Return whether it is part of the kernel."""
        return self.parent == 2 or (self.pid == 2 and self.name == "kthreadd")


@fact("host.processes")
def processes(look: Look) -> tuple[Process, ...]:
    """Every process that we see, by pid."""
    del look
    boot = boot_time()
    ours = _namespaces("self")
    with as_fact_errors("/proc"):
        found = (_process(pid, boot, ours) for pid in pids())
        return tuple(process for process in found if process is not None)


@fact("host.our-namespaces")
def our_namespaces(look: Look) -> Mapping[str, int]:
    """The inode numbers of the namespaces we are in ourselves, by the names in NAMESPACES."""
    del look
    return _namespaces("self")


def pids() -> list[int]:
    """Return the pids that /proc lists, in order; raise OSError when there is no /proc."""
    return sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())  # noqa: PTH208 - names are enough


# --- one process ------------------------------------------------------------------------------------------------------


def _process(pid: int, boot: float, ours: Mapping[str, int]) -> Process | None:
    """Return the process, or None when it is gone, also when it went while we looked."""
    directory = f"/proc/{pid}"
    status = _read(f"{directory}/stat", 4096)
    if not status:
        return None
    try:
        fields = parse_stat(status)
        uid = os.stat(directory).st_uid  # noqa: PTH116 - ten thousand of them
        started = round(boot + fields.start_ticks / TICKS, 2)
    except (OSError, ValueError):
        return None
    if fields.flags & _KERNEL_THREAD:
        return Process(
            pid=pid,
            parent=fields.parent,
            name=fields.name,
            state=fields.state,
            start_ticks=fields.start_ticks,
            started=started,
            uid=uid,
        )
    command = _read(f"{directory}/cmdline", _CUT + 1) or b""
    namespaces = _namespaces(str(pid))
    return Process(
        pid=pid,
        parent=fields.parent,
        name=fields.name,
        state=fields.state,
        start_ticks=fields.start_ticks,
        started=started,
        uid=uid,
        argv=redacted(parse_words(command[:_CUT])),
        argv_cut=len(command) > _CUT,
        environment=_environment(directory),
        executable=_link(f"{directory}/exe"),
        directory=_link(f"{directory}/cwd").removesuffix(" (deleted)"),
        cgroups=parse_cgroups(_read(f"{directory}/cgroup", 64 << 10) or b""),
        namespaces=namespaces,
        root_is_ours=_root_is_ours(directory, namespaces, ours),
    )


def _read(path: str, limit: int) -> bytes | None:
    """Return the first *limit* bytes, None when there is no right or no process (any more)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts, left = [], limit
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _link(path: str) -> str:
    try:
        target = os.readlink(path)  # noqa: PTH115 - ten thousand of them
        return target if target.isascii() else os.fsencode(target).decode(errors="replace")
    except OSError:
        return ""


def _namespaces(process: str) -> dict[str, int]:
    found = {}
    for name in NAMESPACES:
        link = _link(f"/proc/{process}/ns/{name}")  # net:[4026531840]
        number = link[len(name) + 2 : -1]
        if number.isdecimal():
            found[name] = int(number)
    return found


def _root_is_ours(directory: str, namespaces: Mapping[str, int], ours: Mapping[str, int]) -> bool | None:
    if "mnt" not in namespaces:
        return None
    if namespaces["mnt"] != ours.get("mnt"):
        return False
    root = _link(f"{directory}/root")  # as we see it: `/` is our own
    return root == "/" if root else None


def _environment(directory: str) -> dict[str, str] | None:
    data = _read(f"{directory}/environ", _ENVIRONMENT)
    return None if data is None else parse_environment(data)


# --- texts of /proc ---------------------------------------------------------------------------------------------------


def parse_words(data: bytes) -> list[str]:
    """Return the words of /proc/PID/cmdline; a program that wrote its title over them leaves one, NULs at its end."""
    words = data.rstrip(b"\0").split(b"\0") if data.strip(b"\0") else []
    return [word.decode(errors="replace") for word in words]


def parse_environment(data: bytes) -> dict[str, str]:
    """Return the variables of /proc/PID/environ that change what a component does, without secrets."""
    found = {}
    for entry in data.split(b"\0"):
        name, equals, _ = entry.partition(b"=")
        if equals and _matters(name):
            key, _, value = redacted([entry.decode(errors="replace")])[0].partition("=")
            found[key] = value
    return found


def _matters(name: bytes) -> bool:
    text = name.decode("ascii", errors="replace")
    return text in _NAMES or text.startswith(_PREFIXES) or text.upper().endswith("_PROXY")


def parse_cgroups(data: bytes) -> dict[str, str]:
    """Return the path by controller of /proc/PID/cgroup: `0::/a` is the v2 one, `4:cpu,cpuacct:/b` two of v1."""
    found = {}
    for line in data.decode(errors="replace").split("\n"):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and number.isdecimal():
            for controller in controllers.split(","):
                found[controller] = path
    return found


# --- what it has open -------------------------------------------------------------------------------------------------


def open_files(pid: int) -> Iterator[tuple[int, str]]:
    """Yield descriptor and target (`/a/file`, `socket:[123]`) of what the process has open; raise OSError."""
    with os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            try:
                yield int(entry.name), os.readlink(entry.path)  # noqa: PTH115 - hundred thousands of them
            except FileNotFoundError:  # closed a moment ago
                continue
