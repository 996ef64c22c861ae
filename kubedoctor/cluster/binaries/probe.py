"""What a binary tells of itself: architecture, version, flags. Asked once and remembered by path, size and mtime."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubedoctor.cluster.binaries.versions import mentioned
from kubedoctor.cluster.files import make_directory, write_atomically
from kubedoctor.cluster.paths import cache
from kubedoctor.errors import KubedoctorError

TIMEOUT = 10.0
"""Seconds a program has to answer: kube-apiserver needs 0.1, and 3 when it is read from a cold disk."""

CNI_PLUGINS = frozenset(
    {
        "bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "loopback",
        "macvlan", "portmap", "ptp", "sbr", "static", "tap", "tuning", "vlan", "vrf",
    }
)  # fmt: skip
"""The plugins of the CNI project. They take no flags, and some share their name with other programs."""

_ASKED_FOR_VERSION = {
    "kubectl": ("version", "--client"),
    "kubeadm": ("version", "-o", "short"),
    "dlv": ("version",),
    "containerd-shim-runc-v2": ("-v",),
    "pause": ("-v",),
    **dict.fromkeys(CNI_PLUGINS, ()),  # without CNI_COMMAND they tell what they are
}
_MACHINES = {  # e_machine of ELF, by what uname calls it
    "x86_64": 62, "aarch64": 183, "armv7l": 40, "armv6l": 40, "i686": 3, "ppc64le": 21, "s390x": 22, "riscv64": 243,
    "loongarch64": 258,
}  # fmt: skip
_FLAG = re.compile(r"^[ \t]{1,8}(?:-\w, )?--?([A-Za-z0-9][\w.-]*)(?=[\s=\[]|$)", re.ASCII | re.MULTILINE)
_KLOG = re.compile(r'^[EF]\d{4} \S+ +\d+ \S+\] (?:"[^"]*" err="(.*)"|(.*))$')


def unusable(path: str) -> str:
    """Return why *path* cannot be run on this machine, empty when it can."""
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            return "is not a file"
        if not os.access(path, os.X_OK):
            return "is not executable"
        with Path(path).open("rb") as stream:
            head = stream.read(256)  # all the kernel looks at to find what a script is run by
    except FileNotFoundError:
        return "does not exist"
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"
    if head.startswith(b"#!"):
        interpreter = os.fsdecode((head[2:].split(b"\n")[0].split() or [b""])[0])
        return "" if os.access(interpreter, os.X_OK) else f"is a script for `{interpreter}`, which cannot be run"
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return "is not a program"
    ours = platform.machine()
    theirs = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    if ours not in _MACHINES or theirs == _MACHINES[ours] or (ours == "x86_64" and theirs == _MACHINES["i686"]):
        return ""
    named = next((name for name, number in _MACHINES.items() if number == theirs), f"machine type {theirs}")
    return f"is built for {named}, this machine is {ours}"


def version_of(path: str, name: str = "", *, remember: bool = True) -> str:
    """Return the version the binary tells, as `v1.37.2`; empty when it does not tell one.

    *name* is what the binary is to us, for those that are asked in a way of their own. With *remember* false nothing is
    written.
    """
    known = recall(path)
    if version := known.get("version"):
        return str(version)
    name = name or Path(path).name
    try:
        done = ask([path, *_ASKED_FOR_VERSION.get(name, ("--version",))])
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # The second line of a CNI plugin has the versions of the protocol.
    told = done.stdout.partition("\n")[0] if name in CNI_PLUGINS else done.stdout
    version = mentioned(told) if done.returncode == 0 else ""
    if version and remember:
        keep(path, {"version": version})
    return version


def known_flags(path: str, subcommand: Sequence[str] = (), *, remember: bool = True) -> frozenset[str]:
    """Return the flags that `--help` lists, without dashes; empty when it lists none. Deprecated ones are hidden.

    Of a program with subcommands, *subcommand* is asked for its own.
    """
    key = " ".join(("flags", *subcommand))
    known = recall(path).get(key)
    if isinstance(known, list):
        return frozenset(map(str, known))
    try:
        done = ask([path, *subcommand, "--help"])
    except OSError as problem:
        raise KubedoctorError(f"`{path}` cannot be run: {problem.strerror}") from problem
    except subprocess.TimeoutExpired:
        raise KubedoctorError(f"`{path} --help` did not end within {TIMEOUT:.0f} s") from None
    flags = frozenset(_FLAG.findall(done.stdout))
    if flags and remember:
        keep(path, {key: sorted(flags)})
    return flags


def rejects(path: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> str | None:
    """Return what the binary has against the arguments *argv* (without the program's name), None when it takes them.

    Kubernetes' programs and etcd parse every flag before they look at `--version`, and start nothing. This also finds
    what help does not tell: deprecated flags that are hidden but accepted, values and feature gates that are refused.
    """
    try:
        done = ask([path, *argv, "--version"], env)
    except OSError as problem:
        return f"cannot be run: {problem.strerror}"
    except subprocess.TimeoutExpired:
        return f"did not answer within {TIMEOUT:.0f} s"
    return None if done.returncode == 0 else _complaint(done.stdout) or f"exit status {done.returncode}"


def _complaint(output: str) -> str:
    """Return the line of *output* that tells what is wrong, without what surrounds it in Kubernetes' logs."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("Error: "):
            return line.removeprefix("Error: ")
        if told := _KLOG.match(line):
            return (told[1] or told[2]).replace('\\"', '"')
    return lines[0] if lines else ""


def ask(argv: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a question; both outputs come back as stdout. Raise OSError and subprocess.TimeoutExpired."""
    # Programs also read their settings from the environment (ETCD_*): the answer must not depend on the caller's.
    passed = {key: os.environ[key] for key in ("PATH", "HOME", "LD_LIBRARY_PATH") if key in os.environ}
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**passed, "LC_ALL": "C", **(env or {})},
        cwd="/",
        start_new_session=True,  # a program that takes the question for an order to start is ended with its children
        text=True,
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(argv, process.returncode, output)


def _record(path: str) -> tuple[Path, dict[str, Any]]:
    """Return where answers of this very file are kept, and what makes it this very file."""
    real = os.path.realpath(path)
    found = Path(real).stat()
    identity = {"path": real, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
    return cache() / "probes" / f"{key}.json", identity


def recall(path: str) -> dict[str, Any]:
    """Return what was kept of this very file; empty when nothing was, or it changed since."""
    try:
        file, identity = _record(path)
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    fits = isinstance(found, dict) and all(found.get(key) == value for key, value in identity.items())
    return found if fits else {}


def keep(path: str, answers: Mapping[str, Any]) -> None:
    """Keep *answers* about the file at *path*, beside those there are."""
    with contextlib.suppress(OSError):  # a cache that can't be written costs time, nothing else
        file, identity = _record(path)
        make_directory(file.parent)
        write_atomically(file, json.dumps({**recall(path), **identity, **answers}))
