"""Answers for facts: each gathered once in a run by whoever asks first, everybody else waits for that one.

Where an answer comes from is a `Source`: the machine, a recording, or what a test gives.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, ParamSpec, TypeVar

from kubedoctor.contributions import reason_of
from kubedoctor.facts import ERRORS, Fact, FactError, Look, Overdue
from kubedoctor.host import redacted
from kubedoctor.records import dataclass

P = ParamSpec("P")
T = TypeVar("T")

Source = Callable[[Look, Fact[Any, Any], tuple[object, ...], str], Any]
"""Given the look, a fact, its arguments and its key: the value, or a raised FactError."""


def gather(look: Look, fact: Fact[Any, Any], arguments: tuple[object, ...], _key: str) -> Any:
    """Return what the machine says."""
    return fact.gather(look, *arguments)


@dataclass(slots=True, eq=False)
class Answer:
    """What became of one fact with its arguments. `seconds` are its own, without the facts it asked for."""

    fact: Fact[Any, Any]
    arguments: tuple[object, ...]
    owner: int  # the thread that gathers it
    begun: float  # of the monotonic clock
    value: Any = None
    error: FactError | None = None
    defect: BaseException | None = None  # what a gatherer raised that is no FactError
    seconds: float = 0.0
    given_up: bool = False  # by somebody who waited for it
    done: threading.Event = field(default_factory=threading.Event)


class SharedLook:
    """A Look for many threads. A gatherer that raises anything but a FactError has failed, and is named."""

    def __init__(self, source: Source = gather, *, now: float | None = None) -> None:
        self._source = source
        self._now = time.time() if now is None else now
        self._lock = threading.Lock()
        self._answers: dict[str, Answer] = {}
        self._asking: dict[int, list[str]] = {}  # thread: what it gathers or waits for, the innermost last
        self._inner: dict[int, list[float]] = {}  # thread: for each fact it gathers, the seconds spent in others

    @property
    def now(self) -> float:
        """The time of this run, seconds since the epoch."""
        return self._now

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact's value; raise the FactError that says why it cannot be had."""
        return self.ask(fact, args, kwargs)

    def ask(
        self,
        fact: Fact[Any, T],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        patience: float | None = None,
    ) -> T:
        """Do as `get`; raise Overdue for what somebody has given up and was begun *patience* seconds ago."""
        arguments = positional(fact, args, kwargs)
        key = fact.key(arguments) if arguments else f"{fact.name}()"
        me = threading.get_ident()
        with self._lock:
            answer = self._answers.get(key)
            is_first, is_done = answer is None, answer is not None and answer.done.is_set()
            if answer is None:
                answer = Answer(fact, arguments, me, time.monotonic())
                self._answers[key] = answer
            elif not is_done and self._leads_to(answer, me):
                raise FactError(f"{key} asks for itself")
            if not is_done:
                self._asking.setdefault(me, []).append(key)
        if is_first:
            self._gather(key, answer, me)
        elif not is_done:
            self._wait(key, answer, me, patience)
        if answer.error is not None:
            raise as_recorded(answer.error)
        value: T = answer.value
        return value

    def answers(self) -> dict[str, Answer]:
        """Return what has been asked so far, by key; what is under way has no value yet."""
        with self._lock:
            return dict(self._answers)

    def awaited(self, thread: int) -> str:
        """Return the key of the fact that *thread* waits for: the innermost; empty when it waits for none."""
        with self._lock:
            keys = self._chain(thread)
            return keys[-1] if keys else ""

    def working_for(self, thread: int) -> int:
        """Return the thread that gathers what *thread* waits for, itself when it waits for none."""
        with self._lock:
            keys = self._chain(thread)
            return self._answers[keys[-1]].owner if keys else thread

    def give_up(self, thread: int) -> str:
        """Return what *thread* waits for, as `awaited` does, so that nobody else waits as long for it again."""
        with self._lock:
            keys = self._chain(thread)
            for key in keys:
                self._answers[key].given_up = True
            return keys[-1] if keys else ""

    # ------------------------------------------------------------------------------------------------------------------

    def _gather(self, key: str, answer: Answer, me: int) -> None:
        inner = self._inner.setdefault(me, [])
        inner.append(0.0)
        begin = time.monotonic()
        try:
            answer.value = self._source(self, answer.fact, answer.arguments, key)
        except FactError as error:
            answer.error = as_recorded(error)
        except (Exception, SystemExit) as error:  # a border: what a plugin does wrong costs this fact only
            answer.error = FactError(f"{answer.fact.name} failed: {redacted([reason_of(error)])[0]}")
            answer.defect = error
        except BaseException:  # Ctrl-C: nobody shall take the absent value for an answer
            with self._lock:
                self._answers.pop(key, None)
            raise
        finally:
            took = time.monotonic() - begin
            answer.seconds = max(0.0, took - inner.pop())
            if inner:
                inner[-1] += took
            self._leave(me)
            answer.done.set()

    def _wait(self, key: str, answer: Answer, me: int, patience: float | None) -> None:
        begin = time.monotonic()
        is_bounded = patience is not None and answer.given_up
        left = max(0.0, answer.begun + (patience or 0.0) - begin) if is_bounded else None
        try:
            if not answer.done.wait(left):
                raise Overdue(f"{self.awaited(me) or key} did not answer")
        finally:
            inner = self._inner.get(me)
            if inner:
                inner[-1] += time.monotonic() - begin
            self._leave(me)

    def _leave(self, thread: int) -> None:
        with self._lock:
            self._asking[thread].pop()
            if not self._asking[thread]:
                del self._asking[thread]
                self._inner.pop(thread, None)

    def _chain(self, thread: int) -> list[str]:
        """Return the keys that *thread* waits for, each gathered by asking for the next, over threads."""
        keys: list[str] = []
        seen = set[int]()
        while thread not in seen and (asking := self._asking.get(thread)):
            seen.add(thread)
            keys += (key for key in asking if key in self._answers)
            thread = self._answers[asking[-1]].owner if asking[-1] in self._answers else thread
        return keys

    def _leads_to(self, answer: Answer, thread: int) -> bool:
        """Return whether *answer* is, over however many others, waited for by the thread itself."""
        owner, seen = answer.owner, set[int]()
        while owner not in seen:
            if owner == thread:
                return True
            seen.add(owner)
            asking = self._asking.get(owner)
            awaited = self._answers.get(asking[-1]) if asking else None
            if awaited is None or awaited.done.is_set():
                return False
            owner = awaited.owner
        return False


class UnwaitingLook:
    """A Look that does not wait for what somebody has given up: that is Overdue at once."""

    def __init__(self, look: SharedLook) -> None:
        self._look = look

    @property
    def now(self) -> float:
        """The time of this run, seconds since the epoch."""
        return self._look.now

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact's value; raise the FactError that says why it cannot be had."""
        return self._look.ask(fact, args, kwargs, 0.0)


def positional(fact: Fact[Any, Any], args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[object, ...]:
    """Return the arguments by position, without those at the end that say what is the default anyway.

    So one thing has one key, and keeps it when the fact is given another argument with a default.
    """
    if not args and not kwargs:
        return ()
    signature = _signature(fact.gather)
    parameters = list(signature.parameters.values())[1:]
    if kwargs:
        bound = signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        args = bound.args[1:]
    found = list(args)
    while found and len(found) <= len(parameters) and _is_default(parameters[len(found) - 1], found[-1]):
        found.pop()
    return tuple(found)


_signature = functools.cache(inspect.signature)


def _is_default(parameter: inspect.Parameter, value: object) -> bool:
    default = parameter.default
    return default is not parameter.empty and type(default) is type(value) and bool(default == value)


def as_recorded(error: FactError) -> FactError:
    """Return the error as it would come back from a recording, without what looks like a secret.

    One object raised in many threads would be a mess.
    """
    kind = next((kind for kind in (error.kind, *_kinds(error)) if kind in ERRORS), FactError.kind)
    return ERRORS[kind](redacted([error.reason])[0])


def _kinds(error: FactError) -> list[str]:
    return [kind for ancestor in type(error).__mro__ if isinstance(kind := vars(ancestor).get("kind"), str)]
