"""Work in daemon threads, each with a deadline: what never comes back is given up, and nobody waits for it, ever.

`concurrent.futures` will not do: the interpreter waits for its workers when it ends.
"""

from __future__ import annotations

import _thread
import queue
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

AT_ONCE = 16
"""Pieces of work that may begin beside each other: most wait for a socket, and more would only fight for the GIL."""

BRIEF = 0.25
"""Seconds after which a piece of work waits for something rather than computes, and no longer takes a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A piece of work came back, or its deadline passed (`in_time` False)."""

    key: Hashable
    in_time: bool
    seconds: float
    thread: int


@dataclass(frozen=True, slots=True)
class _Running:
    begun: float
    deadline: float
    thread: int


class Threads:
    """Pieces of work under way, each in a thread of its own."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._running: dict[Hashable, _Running] = {}
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
        """Begin *work*, which must not raise, and give it up after *seconds*.

        Raise RuntimeError when the machine has no thread left.
        """

        begun = time.monotonic()

        def do() -> None:
            try:
                work()
            finally:
                self._back.put((key, time.monotonic()))

        # Not threading.Thread: its start() waits until the thread has begun, behind all those that compute.
        self._running[key] = _Running(begun, begun + seconds, _thread.start_new_thread(do, ()))

    def next(self, until: float | None = None) -> Ended | None:
        """Wait for the next piece of work that comes back or has to be given up; None when there is room again.

        *until* (of the monotonic clock) is a deadline for all of them.
        """
        while True:
            now = time.monotonic()
            late = [
                (one.deadline, key) for key, one in self._running.items() if min(one.deadline, until or now + 1) <= now
            ]
            try:
                key, at = self._back.get(timeout=0 if late else self._patience(now, until))
            except queue.Empty:
                if late:
                    return self._end(min(late, key=lambda one: one[0])[1], time.monotonic(), in_time=False)
                return None
            if key in self._running:  # not given up before
                return self._end(key, at, in_time=True)

    def _patience(self, now: float, until: float | None) -> float:
        moments = [one.deadline for one in self._running.values()]
        moments += [one.begun + BRIEF for one in self._running.values() if one.begun + BRIEF > now]
        return max(0.0, min([*moments, *([until] if until is not None else [])]) - now)

    def _end(self, key: Hashable, at: float, *, in_time: bool) -> Ended:
        one = self._running.pop(key)
        return Ended(key=key, in_time=in_time, seconds=at - one.begun, thread=one.thread)
