"""Whether a program that runs containers can do seccomp: told by what stands in it, without running it.

Built with the tag `seccomp`, runc has the binding of libseccomp in it, by the name of its Go module; built without, the
message with which it will refuse every profile. crun lists what it can do.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.errors import as_fact_errors, printable
from kubedoctor.host.files import open_path, read_file
from kubedoctor.records import dataclass

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where systemd's services find programs: the PATH of one that is not said to have another."""
LARGEST = 256 << 20
"""Bytes of a program that are searched: runc has 15 MiB, k3s with all in it 70."""

_GO = b"\xff Go buildinf:"
_BINDING = b"github.com/seccomp/libseccomp-golang"
_REFUSAL = b"config provided but seccomp not supported"  # of seccomp_unsupported.go, which runc has with no such tag
_CRUN, _CRUN_HAS = b"libcrun", b"+SECCOMP"  # crun's --version lists what it can do
_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 22: "s390x", 21: "ppc64le", 243: "riscv64"}
_RUNS = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm"), "armv7l": ("arm",), "i686": ("i386",)}
"""What the machines that are usual run; of others nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A file that is to be run. `problem` says why it cannot be; empty when nothing is seen that speaks against it."""

    path: str
    format: str = ""  # elf, script, empty, other
    machine: str = ""  # of ELF, as uname names it; empty for one we have no name for
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuncBuild:
    """What a program that runs containers can do; None: it cannot be told. `evidence` says what tells it."""

    seccomp: bool | None
    evidence: str
    name: str = ""  # runc, crun


@fact("host.program")
def program(look: Look, path: str, root: int) -> Program:
    """A file that is to be run: what it is, and why it cannot be run; raise Absent, Denied."""
    del look
    with as_fact_errors(path):
        handle = open_path(path, root=root)
        try:
            found, system = os.fstat(handle), os.statvfs(f"/proc/self/fd/{handle}")
            is_file = stat.S_ISREG(found.st_mode)
            head = _head(handle) if is_file else b""
        finally:
            os.close(handle)
    machine = _machine(head)
    kind = "elf" if head[:4] == b"\x7fELF" else "script" if head[:2] == b"#!" else "other" if head else "empty"
    return Program(
        path=path,
        format=kind if is_file else "other",
        machine=machine,
        problem=_problem(is_file, found.st_mode, system.f_flag, kind, machine),
    )


@fact("host.runc-build")
def runc_build(look: Look, path: str, root: int) -> RuncBuild:
    """Whether runc, crun, or whatever stands at *path* for them, can do seccomp; raise Absent, Denied."""
    del look
    with as_fact_errors(path):
        handle = open_path(path, root=root)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Malformed(f"{printable(path)} is no file")
            descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        finally:
            os.close(handle)
        try:
            size = os.fstat(descriptor).st_size
            if not 0 < size <= LARGEST:
                raise Malformed(f"{printable(path)} has {size} bytes, which no such program has")
            with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as content:
                return judge(content)
        finally:
            os.close(descriptor)


@fact("host.search-path")
def search_path(look: Look, pid: int) -> tuple[str, ...]:
    """The directories in which the process looks for programs; raise Absent, Denied."""
    del look
    for entry in read_file(f"/proc/{pid}/environ").split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"PATH":
            words = value.decode(errors="replace").split(":")
            return tuple(printable(word) for word in words if word.startswith("/"))
    return PATH


def judge(content: bytes | mmap.mmap) -> RuncBuild:
    """Return what the content of a program tells."""
    if content[:4] != b"\x7fELF":
        return RuncBuild(seccomp=None, evidence="it is no ELF program")
    if content.find(_CRUN) >= 0:
        if content.find(_CRUN_HAS) >= 0:
            return RuncBuild(name="crun", seccomp=True, evidence="it names +SECCOMP among what it can do")
        return RuncBuild(name="crun", seccomp=None, evidence="it does not name +SECCOMP")
    if content.find(_GO) < 0:
        return RuncBuild(seccomp=None, evidence="it is neither runc nor crun")
    if content.find(_REFUSAL) >= 0:
        return RuncBuild(name="runc", seccomp=False, evidence="it was built without the tag seccomp")
    if content.find(_BINDING) >= 0:
        return RuncBuild(name="runc", seccomp=True, evidence="it was built with libseccomp")
    return RuncBuild(seccomp=None, evidence="it is neither runc nor crun")


# ----------------------------------------------------------------------------------------------------------------------


def _head(handle: int) -> bytes:
    try:
        descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:  # one may be run that may not be read
        return b"?"
    try:
        return os.pread(descriptor, 64, 0)
    finally:
        os.close(descriptor)


def _machine(head: bytes) -> str:
    if len(head) < 20 or head[:4] != b"\x7fELF" or head[5] not in (1, 2):
        return ""
    (number,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return _MACHINES.get(number, "")


def _problem(is_file: bool, mode: int, flags: int, kind: str, machine: str) -> str:
    if not is_file:
        return "is no file"
    if not mode & 0o111:
        return "is not executable: no `x` in its mode"
    if kind == "empty":
        return "is empty"
    if flags & os.ST_NOEXEC:
        return "is on a filesystem that is mounted noexec"
    ours = os.uname().machine
    if machine and machine not in _RUNS.get(ours, (machine,)):
        return f"is built for {machine}, and this machine is {ours}"
    return ""
