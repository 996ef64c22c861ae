"""Whether there is room where components keep their data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubedoctor import Context, Evidence, FactError, Finding, Fix, Phase, Severity, check, host
from kubedoctor_host.demands import RUNTIMES, Demand, demands, directory_of, in_words
from kubedoctor_host.wording import listed, size

EVICTION = "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A demand that a filesystem does not meet, and of what there is too little."""

    demand: Demand
    space: host.DiskSpace
    severity: Severity
    left: str
    wanted: str


@check(
    "host.disk-full",
    title="there is room where components keep their data",
    looks_at="the free bytes and inodes where etcd, the kubelet and the container runtime keep their data, against the "
    "kubelet's hard eviction thresholds and the size of etcd's log files",
    fix="free space on that filesystem, or move the data",
    seen_as=(
        "failed to create WAL: no space left on device",
        "The node was low on resource: ephemeral-storage",
        "node.kubernetes.io/disk-pressure",
    ),
    of=("etcd", "kubelet", *RUNTIMES),
    phases=(Phase.PREFLIGHT, Phase.RUNNING),
    tags=("disk",),
    deadline=5.0,
)
def disk_full(context: Context) -> Iterator[Finding]:
    """On a full disk etcd ends, and a kubelet evicts pods and admits no others although its node stays Ready.

    etcd reserves 64 MB for each file of its log: it does not start with less, and afterwards the disk does not look
    full, since the failed reservation is given back. A kubelet goes by its hard eviction thresholds: by default 10 %
    of the disk of its own directory, 15 % of the one with the images, and 5 % of the inodes of both.
    """
    shortages: dict[int, list[Shortage]] = {}
    problems: list[FactError] = []
    for demand in _all(context, problems):
        try:
            space = context.get(host.disk_space, demand.path, demand.root)
        except FactError as problem:
            problems.append(problem)
            continue
        shortages.setdefault(space.device, []).extend(_shortages(demand, space))
    for found in shortages.values():
        if found:
            yield _finding(found)
    if problems:
        raise problems[0]


def _all(context: Context, problems: list[FactError]) -> Iterator[Demand]:
    try:
        yield from demands(context)
    except FactError as problem:  # what was told before is judged all the same
        problems.append(problem)


def _shortages(demand: Demand, space: host.DiskSpace) -> Iterator[Shortage]:
    room = space.free if demand.reserve else space.available
    error, warning = Severity.ERROR, Severity.WARNING
    if room < _of(demand.room, space.size):
        yield Shortage(demand=demand, space=space, severity=error, left=size(room), wanted=in_words(demand.room))
    elif room < demand.scarce:
        yield Shortage(demand=demand, space=space, severity=warning, left=size(room), wanted=in_words(demand.scarce))
    if space.inodes and space.inodes_free < _of(demand.inodes, space.inodes):
        wanted = f"{demand.inodes * 100:g} %" if demand.inodes < 1 else f"{demand.inodes:g}"
        left = f"{space.inodes_free} inodes"
        yield Shortage(demand=demand, space=space, severity=error, left=left, wanted=f"{wanted} of the inodes")


def _of(limit: float, whole: int) -> float:
    return limit * whole if limit < 1 else limit


def _finding(found: list[Shortage]) -> Finding:
    worst = min(found, key=lambda one: one.severity is not Severity.ERROR)
    same = [one for one in found if one.severity is worst.severity]
    errors = [one for one in same if one.severity is Severity.ERROR]
    who = listed(dict.fromkeys(one.demand.who for one in same))
    where = directory_of(worst.demand.path, worst.space)
    state = "is full" if worst.severity is Severity.ERROR else "is nearly full"
    consequences = "; ".join(dict.fromkeys(one.demand.otherwise for one in same))
    then = consequences if worst.severity is Severity.ERROR else "etcd's log and database cannot grow much"
    return Finding(
        message=f"the disk of {who} at {host.printable(where)} {state}, {worst.left} left: {then}",
        subject=f"disk at {where}",
        severity=worst.severity,
        evidence=tuple(
            Evidence(
                source=one.demand.path,
                observed=f"{one.left} left of {size(one.space.size)} on {one.space.source} ({one.space.kind})",
                expected=f"at least {one.wanted} for {one.demand.who}",
            )
            for one in found
        ),
        fixes=(
            Fix(summary=f"free space on {host.printable(where)}", link=EVICTION),
            Fix(summary=f"move {worst.demand.path} to a larger disk"),
        ),
        explains=("etcd.unhealthy",) if any(one.demand.who == "etcd" for one in errors) else (),
    )
