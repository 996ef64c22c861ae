"""What a process uses of the machine. Standard library only."""

from __future__ import annotations

import os
import time

from kubedoctor.host.process_stat import TICKS, read_stat
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: the share of one processor since it was started, and its resident memory."""

    cpu_percent: float
    memory_bytes: int


def usage(pid: int, start_ticks: int) -> Usage | None:
    """Return what the process uses, None when it is not the one identified (any more).

    Memory is the resident set: the programs of a cluster share next to nothing. For our own processes, which are forked
    from each other, `proportional_memory` is the honest number.
    """
    if not pid:
        return None
    try:
        found = read_stat(pid)
    except (OSError, ValueError):
        return None
    if found.start_ticks != start_ticks:
        return None
    lasted = max(time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / TICKS, 1 / TICKS)
    return Usage(
        cpu_percent=100 * found.cpu_ticks / TICKS / lasted,
        memory_bytes=found.resident * os.sysconf("SC_PAGE_SIZE"),
    )


def proportional_memory(pid: int) -> int | None:
    """Return a process's memory in bytes with shared pages counted in part (PSS), None when it may not be seen."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as stream:  # noqa: PTH123 - no Path is needed
            lines = stream.read().splitlines()
    except OSError:
        return None
    line = next((line for line in lines if line.startswith(b"Pss:")), b"")
    return int(line.split()[1]) * 1024 if line else None
