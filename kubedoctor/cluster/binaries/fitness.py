"""Whether a program that runs can do what it is there for. That it cannot would show only when no pod starts."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from kubedoctor.cluster.binaries.probe import CNI_PLUGINS, ask, keep, recall

_PT_INTERP = 3  # elf.h: what loads the program, which only those have that are linked dynamically
_MOST_HEADERS = 512  # of a program; they have about a dozen


def unfit(path: str, name: str, *, remember: bool = True) -> str:
    """Return why the program at *path* cannot serve as *name*, empty when it can or nothing is known to ask.

    With *remember*, one that can is not asked again.
    """
    trial = _TRIALS.get(name)
    if trial is None:
        return ""
    served = recall(path).get("serves")
    known = served if isinstance(served, list) else []
    if name in known:
        return ""
    try:
        problem = trial(path)
    except subprocess.TimeoutExpired:
        return "does not answer"
    except OSError as refused:
        return f"cannot be run: {refused.strerror}"
    if not problem and remember:
        keep(path, {"serves": [*known, name]})
    return problem


def _speaks_cni(path: str) -> str:
    """Other programs have such names too: `bridge` is also one of iproute2."""
    done = ask([path], {"CNI_COMMAND": "VERSION"})
    try:
        answer = json.loads(done.stdout)
    except (ValueError, RecursionError):
        answer = None
    return "" if isinstance(answer, dict) and "supportedVersions" in answer else "is not a CNI plugin"


def _has_seccomp(path: str) -> str:
    """Without it no container starts that asks for a seccomp profile, and the node says that it is ready."""
    told = ask([path, "--version"]).stdout
    if told.startswith("runc version") and "libseccomp:" not in told:  # others (crun) tell it in ways of their own
        return "was built without seccomp, so no pod would start"
    return ""


def _is_pause(path: str) -> str:
    """What is run in every pod has to be it: others may have that name."""
    return _is_static(path) or ("" if ask([path, "-v"]).stdout.startswith("pause") else "is another program")


def _is_static(path: str) -> str:
    """A program that is alone in an image finds no loader and no library there."""
    with Path(path).open("rb") as stream:
        head = stream.read(64)
        if len(head) < 64 or not head.startswith(b"\x7fELF"):
            return "is not a program that runs in an image of its own"
        order = "<" if head[5] == 1 else ">"
        wide = head[4] == 2
        (start,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        for index in range(min(count, _MOST_HEADERS)):
            stream.seek(min(start + index * size, 1 << 62))
            kind = stream.read(4)
            if len(kind) == 4 and struct.unpack(f"{order}I", kind)[0] == _PT_INTERP:
                return "is linked dynamically, so it cannot run in an image of its own"
    return ""


_TRIALS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(CNI_PLUGINS, _speaks_cni),
    "coredns": _is_static,
    "pause": _is_pause,
    "runc": _has_seccomp,
}
