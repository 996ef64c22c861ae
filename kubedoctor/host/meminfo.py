"""Memory and swap. Standard library only."""

from __future__ import annotations

import re

from kubedoctor.facts import Look, Malformed, fact
from kubedoctor.host.files import read_file, read_text
from kubedoctor.host.mountinfo import unescaped
from kubedoctor.records import dataclass

_LINE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of memory and swap. `available` is what programs may have before anything is swapped out."""

    total: int
    available: int
    swap_total: int
    swap_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """An area the kernel swaps to. Sizes are bytes; the higher the priority, the earlier it is used."""

    path: str
    kind: str  # partition or file; zram is a partition
    size: int
    used: int
    priority: int

    @property
    def is_compressed_memory(self) -> bool:
        """Return whether it is zram: nothing is written to a disk."""
        return self.path.startswith("/dev/zram")


@fact("host.memory")
def memory(look: Look) -> Memory:
    """How much memory and swap the machine has, and how much of it is left."""
    del look
    return parse_memory(read_text("/proc/meminfo"))


@fact("host.swaps")
def swaps(look: Look) -> tuple[Swap, ...]:
    """The swap areas in use; none when swap is off, or the kernel has none."""
    del look
    return parse_swaps(read_file("/proc/swaps"))


def parse_memory(text: str) -> Memory:
    """Return what /proc/meminfo says; raise Malformed when the total is not there."""
    values = {name: int(number[:18]) << 10 for name, number in _LINE.findall(text)}
    if "MemTotal" not in values:
        raise Malformed("/proc/meminfo has no MemTotal")
    return Memory(
        total=values["MemTotal"],
        available=values.get("MemAvailable", values.get("MemFree", 0)),
        swap_total=values.get("SwapTotal", 0),
        swap_free=values.get("SwapFree", 0),
    )


def parse_swaps(data: bytes) -> tuple[Swap, ...]:
    """Return the areas of /proc/swaps; the kernel writes a space in a path as `\\040`. Raise Malformed."""
    found = []
    for number, line in enumerate(data.split(b"\n")[1:], 2):
        fields = line.split()
        if not fields:
            continue
        try:
            path, kind, size, used, priority = fields
            found.append(
                Swap(
                    path=unescaped(path),
                    kind=kind.decode(errors="replace"),
                    size=int(size) << 10,
                    used=int(used) << 10,
                    priority=int(priority),
                )
            )
        except ValueError:
            raise Malformed(f"/proc/swaps: line {number} is no swap area") from None
    return tuple(found)
