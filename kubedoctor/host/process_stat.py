"""/proc/PID/stat: who a process is, what it does, and what it has used. Standard library only; the keeper reads it too.

Nowhere else is it taken apart, so that no two of our commands see a process differently.
"""

from __future__ import annotations

import os
import time

from kubedoctor.records import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
"""What the kernel counts in a second, of start and processor times."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What is taken from the file. With the pid, `start_ticks` is who it is until the next boot."""

    name: str  # as ps and top show it, at most 15 bytes
    state: str  # R, S, D, T, Z, …
    parent: int
    flags: int
    cpu_ticks: int  # of the processor, in user and in kernel mode
    start_ticks: int  # after the boot
    resident: int  # pages in memory

    @property
    def started(self) -> float:
        """When it was started, seconds since the epoch."""
        return boot_time() + self.start_ticks / TICKS


def boot_time() -> float:
    """Return when the machine was booted, seconds since the epoch."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def read_stat(pid: int) -> ProcessStat:
    """Return what /proc tells of the process; raise ProcessLookupError when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123 - asked often, and no Path is needed
            return parse_stat(stream.read())
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None


def parse_stat(data: bytes) -> ProcessStat:
    """Return what *data* tells; the name may hold spaces, parentheses and newlines. Raise ValueError."""
    head, closing, tail = data.rpartition(b")")
    _, opening, name = head.partition(b"(")
    fields = tail.split()  # the first of them is the third of proc(5)
    if not closing or not opening or len(fields) < 22:
        raise ValueError("no process status")
    return ProcessStat(
        name=name.decode(errors="replace"),
        state=fields[0].decode(errors="replace"),
        parent=int(fields[1]),
        flags=int(fields[6]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        start_ticks=int(fields[19]),
        resident=int(fields[21]),
    )
