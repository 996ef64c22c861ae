"""What the keeper knows of its place: state.json and events.jsonl, which only it writes. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubedoctor.cluster.documents import (
    WELL,
    ComponentStatus,
    Event,
    Exit,
    Phase,
    PlaceStatus,
    Plan,
    PlannedComponent,
    State,
)
from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.identity import identify
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.jsonform import to_json

_REMEMBERED = 2000
"""Events kept in memory for those who ask later; the file has all of them."""


def now() -> str:
    """Return the time of day in RFC 3339, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Record:
    """The state of a place, written at every change, and the events that led to it."""

    def __init__(self, paths: PlacePaths, plan: Plan, status: PlaceStatus) -> None:
        self.status = status
        self._paths = paths
        self._started = time.monotonic()
        self._components = _all_fresh(plan)
        self._seq = 0
        self._changed = False
        self._written: dict[str, tuple[ComponentStatus, Any]] = {}
        self.events: deque[Event] = deque(maxlen=_REMEMBERED)
        self.listeners: list[Callable[[Event], None]] = []
        with contextlib.suppress(OSError):
            paths.events.unlink(missing_ok=True)

    def planned(self, plan: Plan) -> None:
        """Take over a changed plan: what runs on keeps its state."""
        fresh = _all_fresh(plan)
        for name, status in self._components.items():
            if name in fresh:
                kept = {key: getattr(fresh[name], key) for key in ("binary", "version", "ports", "log", "kind")}
                fresh[name] = replace(status, **kept)
        self._components = fresh
        self._changed = True

    def current(self) -> PlaceStatus:
        """Return the state of the place as it is now."""
        return replace(self.status, components=tuple(self._components.values()))

    def heard(self, message: Mapping[str, Any], pidfd: int | None) -> None:
        """Take in a `state` message of the supervisor, with the pidfd of a process it has just spawned."""
        name = str(message["component"])
        status = self._components.get(name)
        if status is None:
            return
        state = State(message["state"])
        reason, ended = str(message.get("message", "")), str(message.get("exit", ""))
        well = state in WELL
        changes: dict[str, Any] = {"state": state.value, "ready": well, "reason": reason}
        if pidfd is not None:
            pid = pid_of(pidfd)
            changes |= {"pid": pid, "pid_inside": int(message["pid_inside"]), "started": now(), "ready_since": ""}
            changes["start_ticks"] = _start_ticks(pid)
            changes["restarts"] = status.restarts + (1 if status.started else 0)
        if ended:
            last_exit = Exit(time=now(), reason=ended, log_line=str(message.get("log_line", "")))
            changes |= {"pid": 0, "pid_inside": 0, "start_ticks": 0, "ready_since": "", "last_exit": last_exit}
        if well and not status.ready:
            changes["ready_since"] = now()
        self._components[name] = replace(status, **changes)
        self._changed = True
        if message.get("answered") and status.state == state.value and not status.reason.startswith("/"):
            self.happened("answer", component=name, state=state.value, message=reason)
        if message.get("fatal"):
            told = self._components[name].last_exit
            line = told.log_line if told else ""
            self.enter(Phase(self.status.phase), failure=f"{name}: {reason}" + (f": {line}" if line else ""))
            self.happened("failed", component=name, state=State.FAILED.value, message=reason, exit=ended)
        self.happened("state", component=name, state=state.value, message=reason, exit=ended)

    def happened(self, event: str, **fields: Any) -> None:
        """Record an event and tell those who listen."""
        self._seq += 1
        elapsed = round(time.monotonic() - self._started, 4)
        if not fields.get("pid") and (status := self._components.get(str(fields.get("component")))):
            fields["pid"] = status.pid
        entry = Event(seq=self._seq, time=now(), elapsed=elapsed, event=event, **fields)
        self.events.append(entry)
        with contextlib.suppress(OSError):  # a full disk must not stop the cluster
            _append(self._paths.events, json.dumps(to_json(entry), ensure_ascii=False) + "\n")
        for listener in list(self.listeners):
            listener(entry)

    def since(self, seq: int) -> Iterator[Event]:
        """Yield the remembered events after number *seq*."""
        return (event for event in list(self.events) if event.seq > seq)

    def enter(self, phase: Phase, *, failure: str = "") -> None:
        """Record a phase of the whole place."""
        if phase != self.status.phase:
            self.status = replace(self.status, phase=phase.value, since=now())
        self.status = replace(self.status, failure=failure or ("" if phase is Phase.READY else self.status.failure))
        self._changed = True

    def ended(self) -> None:
        """Record that no process of the place is left."""
        gone: dict[str, Any] = {
            "pid": 0,
            "pid_inside": 0,
            "start_ticks": 0,
            "ready": False,
            "ready_since": "",
            "state": State.EXITED.value,
        }
        self._components = {name: replace(status, **gone) for name, status in self._components.items()}

    def settle(self) -> None:
        """Write what changed since the last time; called before anybody waits, so that many changes are one write."""
        if self._changed:
            self.write()

    def write(self) -> None:
        """Replace state.json; a full disk is no reason to stop a cluster, so a failure is only logged.

        An old state would tell of processes that are gone, so it is removed then: its room may do for the new one, and
        `status` asks the keeper where there is none.
        """
        self._changed = False
        self.status = self.current()
        document = json.dumps(self._document(), ensure_ascii=False)
        try:
            write_atomically(self._paths.state, document)
        except OSError as problem:
            with contextlib.suppress(OSError):  # keeper.log is on the same disk
                print(f"{now()} state.json cannot be written: {problem}", flush=True)  # noqa: T201
            with contextlib.suppress(OSError):
                self._paths.state.unlink(missing_ok=True)
                write_atomically(self._paths.state, document)

    def _document(self) -> dict[str, Any]:
        """Return state.json; of a component that has not changed since the last time, what was made of it then."""
        for name, status in self._components.items():
            if self._written.get(name, (None,))[0] is not status:
                self._written[name] = (status, to_json(status))
        document: dict[str, Any] = to_json(replace(self.status, components=()))
        document["components"] = [self._written[name][1] for name in self._components]
        return document


def _all_fresh(plan: Plan) -> dict[str, ComponentStatus]:
    """Return the states of everything that is shown: the components, then the manifests that answer questions."""
    components = {component.name: _fresh(plan, component) for component in plan.components}
    answering = {
        manifest.name: ComponentStatus(
            name=manifest.name, kind="manifest", place=plan.place, state=State.WAITING.value, log=manifest.log
        )
        for manifest in plan.manifests
        if manifest.ready
    }
    return {**components, **answering}


def _fresh(plan: Plan, component: PlannedComponent) -> ComponentStatus:
    return ComponentStatus(
        name=component.name,
        kind=component.kind,
        place=plan.place,
        state=State.WAITING.value,
        binary=component.binary,
        version=component.version,
        ports=component.ports,
        log=component.log,
    )


def pid_of(pidfd: int) -> int:
    """Return the pid of the process of *pidfd* as this pid namespace sees it; 0 when it has ended already."""
    found = re.search(r"^Pid:\s*(-?\d+)", Path(f"/proc/self/fdinfo/{pidfd}").read_text(), re.MULTILINE)
    return max(0, int(found[1])) if found else 0


def _start_ticks(pid: int) -> int:
    try:
        return identify(pid).start_ticks if pid else 0
    except ProcessLookupError:
        return 0


def _append(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
