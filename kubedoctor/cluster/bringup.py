"""Bringing a prepared place up: start its keeper, follow its events until it is ready, let it go."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import field

from kubedoctor.cluster import place as places
from kubedoctor.cluster.channel import ChannelClosed
from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.documents import WELL, Event, PlaceStatus, Plan, State
from kubedoctor.cluster.identity import ProcessIdentity, process_state, send
from kubedoctor.cluster.launch import EarlyKeeper
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.cluster.prepare import Prepared
from kubedoctor.errors import ComponentFailed, KubedoctorError
from kubedoctor.jsonform import from_json
from kubedoctor.records import dataclass

NEEDED, NEEDED_BY_NODE = 200, 350
"""MiB that a cluster takes at first: etcd's log, for which room is made in advance, and the images of a node."""
LAST_WORDS = 4000
"""Bytes of keeper.log that are shown when a keeper ends without a word."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long `up` stays: until ready within *timeout* seconds; without *wait* until everything has been started.

    With *attached*, that is called when the cluster is ready, and when it returns or this process ends, however, the
    cluster is stopped: it is never released. With *keep* nothing is stopped when `up` fails or is interrupted.
    """

    timeout: float
    wait: bool = True
    keep: bool = False
    attached: Callable[[ControlClient], None] | None = None


@dataclass(slots=True)
class Waiting:
    """What components are waiting for while `up` watches, to be told when time is up."""

    states: dict[str, Event] = field(default_factory=dict)
    note: str = ""  # the last one: of a manifest that the API does not take

    def heard(self, event: Event) -> None:
        """Take in an event."""
        if event.event == "state":
            self.states[event.component] = event
        elif event.event == "note":
            self.note = event.message if event.message.startswith("manifest ") else ""

    def culprit(self, plan: Plan) -> Event | None:
        """Return the last word of the first component in start order that is not ready."""
        names = [*(one.name for one in plan.components), *(one.name for one in plan.manifests)]
        order = (self.states.get(name) for name in names)
        return next((event for event in order if event is not None and event.state not in WELL), None)

    def stopped_process(self) -> Event | None:
        """Return the last word of a component whose process does not run because of SIGSTOP or the like."""
        return next((event for event in self.states.values() if event.pid and process_state(event.pid) == "T"), None)


def start(
    early: EarlyKeeper, prepared: Prepared, paths: PlacePaths, lock: int, wait: Wait, tell: Callable[[Event], None]
) -> None:
    """Start the keeper of a prepared place and return when the cluster is ready; *tell* is called with each event.

    Raise ComponentFailed when a component does not come up, with everything stopped again (unless `wait.keep`).
    Whatever ends this process before, SIGKILL included, stops everything too: the keeper has the lifeline's other end.
    """
    instance = secrets.token_hex(8)
    paths.socket.unlink(missing_ok=True)
    try:
        lifeline, process = early.begin(lock=lock, instance=instance, listeners=prepared.listeners())
    except ChannelClosed:
        raise _ended_early(early.process.wait(places.PATIENCE)) from None
    finally:
        os.close(lock)
        prepared.close()
    with ControlClient(paths.socket, connection=lifeline) as keeper:
        try:
            follow(keeper, prepared.plan, wait, tell)
            if wait.attached is not None:
                wait.attached(keeper)
                process.wait(timeout=places.PATIENCE)
                return
            keeper.request("release")
        except ComponentFailed:
            if wait.keep:
                keeper.request("release")
                process.returncode = 0
            else:
                stop(keeper, paths)
            raise
        except KeeperLost as lost:
            process.wait(timeout=places.PATIENCE)
            if not lost.in_order:
                with contextlib.suppress(KubedoctorError):  # the next command tells
                    os.close(places.acquire(paths))  # what it could not remove itself
                said, hint = last_words(paths), f"its log is {paths.keeper_log}"
                raise KubedoctorError(lost.message if not said else f"the keeper ended: {said}", hint=hint) from None
            raise KubedoctorError(
                "the cluster was stopped while it came up", hint="by `kubedoctor down`, or a signal to its keeper"
            ) from None
        except KeyboardInterrupt:
            if wait.keep:
                keeper.request("release")
                process.returncode = 0
                raise
            # The first Ctrl-C stops in order; the second one, which comes out of here, kills at once.
            try:
                stop(keeper, paths)
            except KeyboardInterrupt:
                keeper.request("shutdown", now=True)
            raise
    process.returncode = 0  # it lives on: not ours to wait for any more


class KeeperLost(KubedoctorError):  # noqa: N818 - a state, not a mistake
    """The keeper ended while it was followed; *in_order* when everything was stopped as somebody asked."""

    def __init__(self, message: str, *, in_order: bool = False) -> None:
        super().__init__(message)
        self.in_order = in_order


def follow(keeper: ControlClient, plan: Plan, wait: Wait, tell: Callable[[Event], None], since: int = 0) -> None:
    """Return when the cluster is ready; raise ComponentFailed when a component fails or time is up."""
    deadline = time.monotonic() + wait.timeout
    waiting = Waiting()
    try:
        for message in keeper.events(since, deadline=deadline):
            event = from_json(Event, message)
            waiting.heard(event)
            tell(event)
            match event.event:
                case "ready":
                    return
                case "failed":
                    raise failure(plan, event, _last_error(keeper, event.component))
                case "stopped":
                    raise KeeperLost(event.message or "it was stopped", in_order=not event.message)
            if not wait.wait and _all_started(plan, waiting.states):
                return
    except KubedoctorError:
        if time.monotonic() < deadline:
            raise
        raise too_late(plan, waiting, wait.timeout) from None
    raise KeeperLost("the keeper ended without a word: something killed it")


def _all_started(plan: Plan, states: Mapping[str, Event]) -> bool:
    return all(c.name in states and states[c.name].state != State.WAITING for c in plan.components)


def _last_error(keeper: ControlClient, component: str) -> str:
    """Return the line in which a component's last process told why it ended, "" when there is none."""
    try:
        found = from_json(PlaceStatus, keeper.request("status")["place"]).components
    except KubedoctorError:  # ended meanwhile; the rest of the message is known all the same
        return ""
    return next((c.last_exit.log_line for c in found if c.name == component and c.last_exit), "")


def failure(plan: Plan, event: Event, line: str) -> ComponentFailed:
    """Return the error for a component that ended before it was ready: its last *line*, and where to read on."""
    component = next((c for c in plan.components if c.name == event.component), None)
    if component is None:
        return ComponentFailed(
            event.message or "the place could not be set up", hint=f"see {plan.directory}/keeper.log"
        )
    message = f"{component.name} failed: {event.message}" + (f"\n  {line}" if line else "")
    hints = [f"its log: {component.log}", "what did start can be kept for a look: --keep"]
    free, needed = shutil.disk_usage(plan.directory).free >> 20, NEEDED_BY_NODE if plan.node else NEEDED
    if free < needed or "no space left on device" in line:
        room = f"{free} MiB are free there: make room, about {needed} MiB are needed in all"
        hints.insert(0, f"{room}; or choose another place: export KUBEDOCTOR_HOME=DIR")
    return ComponentFailed(message, hint="\n".join(hints), component=component.name)


def too_late(plan: Plan, waiting: Waiting, timeout: float) -> ComponentFailed:
    """Return the error for a cluster that is not ready in time: which component holds it up, and by what."""
    if stopped := waiting.stopped_process():
        return ComponentFailed(
            f"{stopped.component} is not ready after {timeout:g} s: its process is stopped (pid {stopped.pid})",
            hint="a debugger does that, or SIGSTOP; leave it for a look with --keep",
        )
    from kubedoctor.cluster.pod_reasons import reason

    culprit = waiting.culprit(plan)
    if culprit is None:
        why = f": {waiting.note}" if waiting.note else ""
        return ComponentFailed(f"not ready after {timeout:g} s{why}", hint="leave it running for a look with --keep")
    logs = {component.name: component.log for component in plan.components}
    why = culprit.message or f"it is {culprit.state}"
    log = f"read its log: {logs[culprit.component]}\n" if culprit.component in logs else ""
    told = reason(plan, culprit.component)
    return ComponentFailed(
        f"{culprit.component} is not ready after {timeout:g} s: {why}" + (f"\n  {told}" if told else ""),
        hint=f"{log}wait longer with --timeout, or leave it running for a look with --keep",
        component=culprit.component,
    )


def stop(keeper: ControlClient, paths: PlacePaths, *, patience: float = 35.0) -> None:
    """Stop everything and return when nothing is left, within *patience* seconds; else raise KubedoctorError."""
    keeper.request("shutdown", timeout=places.PATIENCE)
    for _ in keeper.events(1 << 60, deadline=time.monotonic() + patience):
        pass  # until the keeper closes
    if not places.wait_free(paths, places.PATIENCE):
        raise KubedoctorError(f"{paths.directory} is still held", hint="see `kubedoctor status`")


def _ended_early(status: int) -> KubedoctorError:
    """Return the error for a keeper that was gone before it was given its place."""
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return KubedoctorError(f"the keeper ended before anything was started: {how}", hint="nothing runs: try again")


def last_words(paths: PlacePaths) -> str:
    """Return the last line of the keeper's log, "" when it said nothing."""
    try:
        with paths.keeper_log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_WORDS))
            lines = log.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else ""


def kill_keeper(state: PlaceStatus) -> None:
    """End a keeper that does not answer: the kernel ends its sandbox with it."""
    send(ProcessIdentity(state.keeper.pid, state.keeper.start_ticks), signal.SIGKILL)
