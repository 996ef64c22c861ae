"""A component while the supervisor lives, and what children of ours have ended. Standard library only."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from kubedoctor.cluster.documents import PlannedComponent, State
from kubedoctor.cluster.probe import Prober
from kubedoctor.records import dataclass

EXITS_TO_FAIL, EXITS_WINDOW = 5, 60.0
"""A component that exits so often within so many seconds is given up: it will not mend itself."""
BACKOFF_LONGEST = 30.0
RUNS = (State.STARTING, State.READY, State.STOPPING)
"""The states in which there is a process."""


@dataclass(slots=True)
class Running:
    """A component while the supervisor lives: its process, if any, and what is wanted of it."""

    plan: PlannedComponent
    state: State = State.WAITING
    wanted: bool = True
    pid: int = 0
    log_start: int = 0  # size of its log when the process was started: what stands before is of earlier ones
    generation: int = 0  # of the process, so that a late verdict on an earlier one is dropped
    prober: Prober | None = None
    usable: bool = False  # the process does part of its work
    was_ready: bool = False  # since the supervisor started or the component was last asked to start
    exits: deque[float] = field(default_factory=deque)  # monotonic times of unwanted ends
    retry_at: float | None = None
    kill_at: float | None = None

    def begins(self) -> None:
        """Take note that a new process is about to be started."""
        self.generation += 1
        self.usable = False
        try:
            self.log_start = Path(self.plan.log).stat().st_size
        except OSError:
            self.log_start = 0

    def ended(self) -> None:
        """Take note that the process is gone."""
        self.pid, self.kill_at, self.usable = 0, None, False
        if self.prober is not None:
            self.prober.end()
            self.prober = None

    def failed(self, now: float) -> bool:
        """Take note of an end that nobody asked for; return whether another try is due, at `retry_at`."""
        self.exits.append(now)
        while self.exits[0] < now - EXITS_WINDOW:
            self.exits.popleft()
        if len(self.exits) >= EXITS_TO_FAIL:
            self.state = State.FAILED
            return False
        self.state = State.BACKOFF
        self.retry_at = now + min(BACKOFF_LONGEST, 2.0 ** (len(self.exits) - 1))
        return True

    def last_error(self) -> str:
        """Return the line in which the last process told why it ended, "" when there is none."""
        from kubedoctor.cluster.logs.last_error import last_error  # needed only when something went wrong

        return last_error(self.plan.log, start=self.log_start)

    def runs_differently(self, new: PlannedComponent) -> bool:
        """Return whether a process of the plan so far is not what *new* asks for."""
        old = self.plan
        return (old.argv, old.env, old.files, old.log) != (new.argv, new.env, new.files, new.log)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A request that is answered when its component has got there."""

    request: int
    component: str
    goal: State


def ended_children(*, spare: int = 0) -> Iterator[os.waitid_result]:
    """Yield each child that has ended and reap it afterwards; *spare* is left for somebody else.

    Look first, take after: as long as a child is not reaped, its pid and its group are nobody else's.
    """
    while True:
        try:
            status = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if status is None or status.si_pid == spare:
            return
        yield status
        os.waitpid(status.si_pid, 0)
