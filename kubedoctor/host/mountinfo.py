"""What is mounted, as a process sees it. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubedoctor.facts import Absent, Denied, Look, Malformed, fact
from kubedoctor.host.files import read_file
from kubedoctor.records import dataclass

_LIMIT = 16 << 20
"""Bytes of mountinfo: a line is some 150, and a node with a thousand pods has ten thousand mounts."""
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mount: `kind` of filesystem `source`, of which the directory `root` is seen at `path`."""

    id: int
    parent: int
    root: str
    path: str
    kind: str
    source: str
    options: tuple[str, ...]  # of this mount: ro, nosuid, relatime …
    super_options: tuple[str, ...]  # of the filesystem: size=64k, memory (a cgroup controller) …
    propagation: tuple[str, ...] = ()  # `shared:1`, `master:2`; none for a private one


@fact("host.mounts")
def mounts(look: Look, root: int = 0) -> tuple[Mount, ...]:
    """What is mounted in the mount namespace of process *root* (0: ours), in the order it was mounted."""
    del look
    path = f"/proc/{root or 'self'}/mountinfo"
    try:
        return parse_mounts(read_file(path, limit=_LIMIT))
    except Denied:
        raise Denied(f"needs root to see what is mounted for process {root}") from None
    except Malformed as problem:
        if "Invalid argument" in problem.reason:  # EINVAL: a zombie has no namespaces any more
            raise Absent(f"process {root} has ended") from None
        raise


def parse_mounts(data: bytes) -> tuple[Mount, ...]:
    """Return the mounts of a mountinfo; raise Malformed for a line that is none."""
    return tuple(_mount(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip())


def _mount(number: int, line: bytes) -> Mount:
    fields = line.split(b" ")
    try:
        end = fields.index(b"-", 6)
        return Mount(
            id=int(fields[0]),
            parent=int(fields[1]),
            root=unescaped(fields[3]),
            path=unescaped(fields[4]),
            options=tuple(unescaped(fields[5]).split(",")),
            propagation=tuple(unescaped(field) for field in fields[6:end]),
            kind=unescaped(fields[end + 1]),
            source=unescaped(fields[end + 2]),
            super_options=tuple(unescaped(fields[end + 3]).split(",")),
        )
    except (ValueError, IndexError):
        raise Malformed(f"mountinfo: line {number} is no mount") from None


def unescaped(field: bytes) -> str:
    """Return a field of /proc with its escapes (`\\040` is a space) resolved, as valid Unicode."""
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), field).decode(errors="replace")


def mount_of(found: tuple[Mount, ...], path: str) -> Mount | None:
    """Return the mount that *path* lies on, by its text: symlinks are not followed. The last mounted there counts."""
    best: Mount | None = None
    for mount in found:
        prefix = mount.path.rstrip("/")
        if (path == mount.path or path.startswith(f"{prefix}/")) and (
            best is None or len(mount.path) >= len(best.path)
        ):
            best = mount
    return best


def visible(found: Sequence[Mount], below: str) -> tuple[Mount, ...]:
    """Return the mounts at or below the path *below* that can be reached: another one may lie over them, or above.

    A sandbox has a /sys of its own over that of the machine: both have all their mounts in mountinfo.
    """
    by_id = {one.id: one for one in found}
    children: dict[int, list[Mount]] = {}
    for one in found:
        children.setdefault(one.parent, []).append(one)

    def is_hidden(mount: Mount) -> bool:
        if any(one.path == mount.path and one is not mount for one in children.get(mount.id, ())):
            return True
        seen = set[int]()
        way: Mount | None = mount
        while way is not None and way.id not in seen:  # the kernel has no circles, a recording may
            seen.add(way.id)
            siblings = children.get(way.parent, [])
            later = siblings[siblings.index(way) + 1 :]
            if any(way.path.startswith(f"{one.path.rstrip('/')}/") for one in siblings if one.path != way.path):
                return True
            if any(one.path == way.path for one in later):
                return True
            way = by_id.get(way.parent)
        return False

    return tuple(one for one in found if f"{one.path}/".startswith(f"{below}/") and not is_hidden(one))
