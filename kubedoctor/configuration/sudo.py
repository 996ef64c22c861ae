"""Whether sudo dropped variables that were meant for us."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kubedoctor.configuration.environment import option_variables
from kubedoctor.configuration.variables import NODE


def sudo_dropped(env: Mapping[str, str], *, pid: int | None = None, proc: Path = Path("/proc")) -> str | None:
    """Return a hint when sudo was given variables of ours and kept them from us, else None.

    Only root can tell: it reads which names sudo itself was started with. Values are never looked at, but for whether
    they are empty.
    """
    if not env.get("SUDO_USER"):
        return None
    given = _names(_sudo_above(os.getpid() if pid is None else pid, proc), proc)
    dropped = sorted(name for name in given if name in option_variables() or name in NODE if name not in env)
    if not dropped:
        return None
    shown = ", ".join(dropped[:3]) + (f" and {len(dropped) - 3} more" if len(dropped) > 3 else "")
    return f"sudo dropped {shown}: `sudo -E` keeps variables"


def _sudo_above(pid: int, proc: Path) -> int:
    """Return the topmost of the sudo processes right above *pid* (with a terminal of its own, sudo is two); 0 if none.

    A shell in between (`sudo -s`, `sudo make up`) is looked past, as far up as a login goes.
    """
    found = 0
    for _ in range(10):
        try:
            stat = (proc / str(pid) / "stat").read_text(errors="replace")
        except OSError:
            break
        if stat[stat.find("(") + 1 : stat.rfind(")")] == "sudo":
            found = pid
        elif found:
            break
        pid = int(stat[stat.rfind(")") + 2 :].split()[1])
        if pid <= 1:
            break
    return found


def _names(pid: int, proc: Path) -> set[str]:
    if not pid:
        return set()
    try:
        entries = (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return set()
    pairs = (entry.partition(b"=") for entry in entries)
    return {name.decode(errors="replace") for name, _, value in pairs if value.strip()}
