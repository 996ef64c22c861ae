"""`status` for people: how the cluster is in one line, then one line a component."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from kubedoctor.cluster.documents import ComponentStatus, Phase, State, Status
from kubedoctor.host.usage import Usage
from kubedoctor.records import dataclass
from kubedoctor.report.text import columns, duration, mebibytes, styled, visible

_HEAD = ("component", "state", "for", "restarts", "cpu", "memory", "version", "")
_RIGHT = (2, 3, 4, 5)
_STYLE = {
    "ready": "green",
    "done": "green",
    "failed": "red",
    "not-ready": "red",
    "backoff": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
}
_PHASE_WORDS = {"not-ready": "not ready"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is shown beside the Status: what processes use, by component, and the plan as it stands in plan.json."""

    now: float
    usage: Mapping[str, Usage] = field(default_factory=dict)
    supervisor_memory: int | None = None  # bytes
    plan: Mapping[str, Any] = field(default_factory=dict)
    cache: str = ""  # the directory of downloaded and built binaries


def render(status: Status, seen: Seen, *, colour: bool = False) -> list[str]:
    """Return the lines of `kubedoctor status`."""
    lines = ["   ".join(_summary(status, seen, colour=colour))]
    if status.reason:
        lines.append(f"  {visible(status.reason)}")
    if status.components and status.phase != Phase.STOPPED:
        rows: list[Sequence[str]] = [_HEAD]
        rows += [_row(component, status, seen, colour=colour) for component in status.components]
        lines += ["", *(f"  {line}" for line in columns(rows, right=_RIGHT))]
    return lines


def changes(before: Status | None, after: Status, *, at: str) -> list[str]:
    """Return a line for each thing that changed between two looks: what `status --watch` writes without a terminal."""
    known = {c.name: c for c in before.components} if before else {}
    lines = []
    if before is None or (before.phase, before.reason) != (after.phase, after.reason):
        reason = f"   {visible(after.reason)}" if after.reason else ""
        lines.append(f"{at}  cluster {after.cluster}   {_PHASE_WORDS.get(after.phase, after.phase)}{reason}")
    for component in after.components:
        old = known.get(component.name)
        if old is None or (old.state, old.restarts, old.ready, old.reason) != (
            component.state,
            component.restarts,
            component.ready,
            component.reason,
        ):
            note = _trouble(component)
            lines.append(f"{at}  {component.name:<23}  {component.state:<8}" + (f"   {note}" if note else ""))
    return [line.rstrip() for line in lines]


def _summary(status: Status, seen: Seen, *, colour: bool) -> list[str]:
    phase = styled(_PHASE_WORDS.get(status.phase, status.phase), _STYLE.get(status.phase, ""), colour=colour)
    since = _seconds_since(status.since, seen.now)
    parts = [f"cluster {status.cluster}", phase if since is None else f"{phase} for {duration(since)}"]
    if status.phase == Phase.STOPPED:
        return parts
    if status.address:
        parts.append(status.address)
    for place in status.places:
        memory = f" ({mebibytes(seen.supervisor_memory)})" if seen.supervisor_memory is not None else ""
        supervisor = f", supervisor {place.supervisor.pid}{memory}" if place.supervisor.pid else ""
        if place.kind:
            parts.append(f"{place.kind}{supervisor}")
    return parts


def _row(component: ComponentStatus, status: Status, seen: Seen, *, colour: bool) -> list[str]:
    usage = seen.usage.get(component.name)
    since = component.ready_since if component.ready else component.started
    if component.state in (State.BACKOFF, State.FAILED, State.EXITED) and component.last_exit:
        since = component.last_exit.time
    lasted = _seconds_since(since, seen.now)
    return [
        component.name,
        styled(component.state, _STYLE.get(component.state, ""), colour=colour),
        "-" if lasted is None or component.state == State.WAITING else duration(lasted),
        str(component.restarts),
        f"{usage.cpu_percent:.0f} %" if usage else "-",
        mebibytes(usage.memory_bytes) if usage else "-",
        visible(component.version) or "-",
        "; ".join(note for note in (*_choices(component, status, seen), _trouble(component)) if note),
    ]


def _trouble(component: ComponentStatus) -> str:
    """Return why the component is not ready; for one that is and has died before, how it ended."""
    ended = component.last_exit
    if component.state == State.WAITING:
        return visible(component.reason)
    if ended and not component.ready:
        said = [ended.reason, ended.log_line]
        if component.reason and component.reason not in said and component.state != State.EXITED:
            said[0] = component.reason if ended.reason in component.reason else f"{ended.reason}; {component.reason}"
        return visible(": ".join(part for part in said if part))
    if ended and component.restarts:
        return visible(f"before: {ended.reason}" + (f": {ended.log_line}" if ended.log_line else ""))
    return "" if component.ready else visible(component.reason)


def _choices(component: ComponentStatus, status: Status, seen: Seen) -> list[str]:
    """Return what the user chose for this component: another binary, flags of its own."""
    directories = Counter(posixpath.dirname(c.binary) for c in status.components if c.binary)
    usual = directories.most_common(1)[0][0] if directories else ""
    directory = posixpath.dirname(component.binary)
    known = directory == usual or (seen.cache and component.binary.startswith(f"{seen.cache}/"))
    chosen = [] if known or not component.binary else [f"binary {visible(component.binary)}"]
    return chosen + _own_flags(component.name, seen.plan)


def _own_flags(name: str, plan: Mapping[str, Any]) -> list[str]:
    planned = next((c for c in plan.get("components") or () if isinstance(c, dict) and c.get("name") == name), {})
    origins, flags = planned.get("origins"), []
    for flag, origin in origins.items() if isinstance(origins, dict) else ():
        if str(origin).startswith("--"):  # an option of the command line that is for this component
            prefix = f"--{flag}="
            value = next((arg[2:] for arg in planned.get("argv") or () if str(arg).startswith(prefix)), "")
            flags.append(visible(value or str(flag)))
    return flags


def _seconds_since(time: str, now: float) -> float | None:
    try:
        return now - datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
