"""Work in daemon threads, each with a deadline: what never comes back is given up, and nobody waits for it, ever.

A deadline is for what hangs. What still computes when it has passed, on a machine that has too much to do, is given
more: the CPU clock of its thread tells.

`concurrent.futures` will not do: the interpreter waits for its workers when it ends.
"""

from __future__ import annotations

import _thread
import queue
import time
from collections.abc import Callable, Hashable

from kubedoctor.records import dataclass

AT_ONCE = 8
"""Pieces of work that may begin beside each other: most wait for a socket, and more would only fight for the GIL."""

BRIEF = 0.25
"""Seconds after which a piece of work waits for something rather than computes, and no longer takes a place."""

MOST = 3
"""How many times its deadline a piece of work may take as long as it computes."""

_LATE = 0.75
"""The part of a deadline after which it is first looked how far a piece of work has come."""

_IDLE = 0.001
"""Seconds on the CPU that are nothing: what hangs has used none since the look before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A piece of work came back, or its deadline passed (`in_time` False)."""

    key: Hashable
    in_time: bool
    seconds: float
    thread: int


@dataclass(slots=True)
class _Running:
    begun: float
    seconds: float
    thread: int
    deadline: float
    look: float  # when to see how far it has come
    computed: float = 0.0  # seconds on the CPU at the look before


class Threads:
    """Pieces of work under way, each in a thread of its own.

    *working_for* tells for a thread that waits for another which one that is.
    """

    def __init__(self, at_once: int = AT_ONCE, working_for: Callable[[int], int] = lambda thread: thread) -> None:
        self._at_once = at_once
        self._working_for = working_for
        self._running: dict[Hashable, _Running] = {}
        self._clocks: dict[int, int] = {}  # by thread
        self._back: queue.SimpleQueue[tuple[Hashable, float]] = queue.SimpleQueue()

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is under way that has not been given up."""
        return not self._running

    @property
    def has_room(self) -> bool:
        """Return whether another piece may begin now."""
        brief = time.monotonic() - BRIEF
        return sum(one.begun > brief for one in self._running.values()) < self._at_once

    def start(self, key: Hashable, work: Callable[[], None], seconds: float) -> None:
        """Begin *work*, which must not raise, and give it up after *seconds* when it hangs.

        Raise RuntimeError when the machine has no thread left.
        """
        begun = time.monotonic()

        def do() -> None:
            thread = _thread.get_ident()
            self._clocks[thread] = time.pthread_getcpuclockid(thread)
            try:
                work()
            finally:
                self._back.put((key, time.monotonic()))

        # Not threading.Thread: its start() waits until the thread has begun, behind all those that compute.
        thread = _thread.start_new_thread(do, ())
        self._running[key] = _Running(begun, seconds, thread, begun + seconds, begun + seconds * _LATE)

    def next(self, until: float | None = None) -> Ended | None:
        """Wait for the next piece of work that comes back or has to be given up; None when there may be room again.

        *until* (of the monotonic clock) is a deadline for all of them.
        """
        while True:
            now = time.monotonic()
            late = self._late(now, until)
            try:
                key, at = self._back.get(timeout=0 if late else self._patience(now, until))
            except queue.Empty:
                return self._end(late[0], time.monotonic(), in_time=False) if late else None
            if key in self._running:  # not given up before
                return self._end(key, at, in_time=True)

    def _late(self, now: float, until: float | None) -> list[Hashable]:
        """Return what has to be given up, the longest due first."""
        if until is not None and until <= now:
            return list(self._running)
        late = []
        for key, one in self._running.items():
            if one.look <= now < one.deadline:
                one.computed, one.look = self._computed(one.thread), one.deadline
            elif one.deadline <= now and not self._extended(one, now):
                late.append((one.deadline, key))
        return [key for _, key in sorted(late, key=lambda item: item[0])]

    def _extended(self, one: _Running, now: float) -> bool:
        """Put the deadline off if the piece of work has computed since the look before; return whether it was."""
        computed = self._computed(one.thread)
        latest = one.begun + MOST * one.seconds
        if computed - one.computed < _IDLE or now >= latest:
            return False
        one.computed = computed
        one.deadline = one.look = min(latest, now + (1 - _LATE) * one.seconds)
        return True

    def _computed(self, thread: int) -> float:
        """Return the seconds that the thread, or the one it waits for, has spent on the CPU."""
        clock = self._clocks.get(self._working_for(thread))
        if clock is None:
            return 0.0
        try:
            return time.clock_gettime(clock)
        except OSError:  # it has ended: whoever waits for it goes on
            return time.monotonic()

    def _patience(self, now: float, until: float | None) -> float:
        moments = [min(one.look, one.deadline) for one in self._running.values()]
        moments += [one.begun + BRIEF for one in self._running.values() if one.begun + BRIEF > now]
        return max(0.0, min([*moments, *([until] if until is not None else [])]) - now)

    def _end(self, key: Hashable, at: float, *, in_time: bool) -> Ended:
        one = self._running.pop(key)
        return Ended(key=key, in_time=in_time, seconds=at - one.begun, thread=one.thread)
