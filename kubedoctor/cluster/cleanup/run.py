"""Taking the record, and clearing by it. Standard library only; what looks at the machine is imported when used."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubedoctor.cluster.cleanup.record import Before, HostRecord, read, remove, write
from kubedoctor.cluster.identity import boot_id
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.errors import KubedoctorError

if TYPE_CHECKING:
    from kubedoctor.components import Cleanup

PODS = "pods"
ORDER = (
    *(PODS, "image", "mounts", "chains", "counter", "table", "bridge", "cgroup"),
    *("directory", "reservations", "file", "empty-directory", "setting"),
)
"""What is cleared first: pods hold mounts, rules and interfaces, mounts hold directories."""


def take(place: PlacePaths, cleanups: Iterable[Cleanup], *, cgroup: str) -> None:
    """Write down what is there now of what components leave; what is on record already stays as it was written."""
    from kubedoctor.cluster.cleanup.traces import look

    known = read(place)
    traces = {(one.trace, one.name): one for one in (known.traces if known else ())}
    for wanted in cleanups:
        key = (wanted.trace.value, wanted.name)
        if key not in traces:
            traces[key] = look(wanted)
    if traces:
        write(place, HostRecord(boot_id=boot_id(), cgroup=cgroup, traces=tuple(traces.values())))


def clear(place: PlacePaths) -> None:
    """Remove what the record of *place* says has come, then the record; nothing of the place runs any more.

    Raise KubedoctorError naming what could not be removed: the record then holds just that, for the next try.
    """
    record = read(place)
    if record is None:
        return
    from kubedoctor.cluster.cleanup.traces import clear_one

    left: list[Before] = []
    problems: list[str] = []
    for one in _in_order(record):
        if any(other.trace == PODS for other in left):  # to end them, their runtime needs the rest: plugins, mounts
            left.append(one)
            continue
        try:
            clear_one(one, record)
        except (KubedoctorError, OSError) as problem:
            left.append(one)
            problems.append(problem.message if isinstance(problem, KubedoctorError) else _words(problem))
    if left:
        write(place, replace(record, traces=tuple(left)))
        raise KubedoctorError(
            f"something of the cluster is left on this machine: {'; '.join(dict.fromkeys(problems))}",
            hint="mend that, then `kubedoctor down` again; `kubedoctor down --dry-run` lists what is left",
        )
    remove(place)


def _words(problem: OSError) -> str:
    where = f"{problem.filename}: " if problem.filename else ""
    return f"{where}{problem.strerror or problem}"


def _in_order(record: HostRecord) -> list[Before]:
    """Return the traces in the order to clear them; of directories the deepest first."""
    known = [one for one in record.traces if one.trace in ORDER]
    return sorted(known, key=lambda one: (ORDER.index(one.trace), -len(Path(one.name).parts), one.name))


def what_would_go(place: PlacePaths) -> Iterator[str]:
    """Yield a line for each thing that `clear` would remove now."""
    record = read(place)
    if record is None:
        return
    from kubedoctor.cluster.cleanup.traces import tell

    for one in _in_order(record):
        try:
            yield from tell(one, record)
        except (KubedoctorError, OSError) as problem:
            yield f"cannot tell: {problem.message if isinstance(problem, KubedoctorError) else _words(problem)}"


def main() -> None:
    """End what is left of the processes of the place in the second argument, and clear the host of its traces."""
    from kubedoctor.cluster.place import clear_remains

    try:
        clear_remains(PlacePaths(Path(sys.argv[2])))
    except KubedoctorError as problem:
        sys.exit(problem.message)
