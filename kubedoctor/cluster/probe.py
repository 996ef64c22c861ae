"""Asking a component whether it works. Standard library only; runs in a thread of the supervisor."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from kubedoctor.cluster.documents import PlannedProbe
from kubedoctor.cluster.http import Connection, tls_context
from kubedoctor.records import dataclass

INTERVAL_STARTING = 0.02
"""Seconds between questions until the first yes: 20 ms cost nothing and are not felt (bring-up.md measured 20-50)."""
INTERVAL_LONG = 0.5
ROUNDS_UNTIL_LONG = 1500
"""After half a minute of noes nobody waits for a prompt yes any more; the questions become rare."""
INTERVAL_READY = 3.0
"""Seconds between questions afterwards: `status` is at most this late."""
FAILURES_TO_UNREADY = 2
"""So many noes in a row make a ready component unready: a single one can be a hiccup of the machine."""

_UNFINISHED = re.compile(r"^\[-\](?:poststarthook/)?(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one round of questions found; `answered` tells that a server was there, whatever it said.

    `usable`: it is not ready yet, or is, and does its work for those who need nothing else prepared.
    """

    ready: bool
    answered: bool
    message: str
    usable: bool = False


class Question:
    """One probe with its kept connection."""

    def __init__(self, probe: PlannedProbe) -> None:
        self._probe = probe
        self._connection: Connection | None = None

    def ask(self) -> Verdict:
        """Return what the probe finds now."""
        probe = self._probe
        match probe.kind:
            case "process":
                return Verdict(ready=True, answered=True, message="")
            case "tcp":
                return self._ask_tcp()
            case "unix":
                return self._ask_unix()
            case "dns":
                return self._ask_dns()
            case _:
                return self._ask_http()

    def _ask_tcp(self) -> Verdict:
        try:
            with socket.create_connection((self._probe.address, self._probe.port), timeout=_patience(self._probe)):
                return Verdict(ready=True, answered=True, message="")
        except OSError as problem:
            return Verdict(ready=False, answered=False, message=f"port {self._probe.port}: {_reason(problem)}")

    def _ask_unix(self) -> Verdict:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(2.0)
                asking.connect(self._probe.path)
                return Verdict(ready=True, answered=True, message="")
        except OSError as problem:
            return Verdict(ready=False, answered=False, message=f"{self._probe.path}: {_reason(problem)}")

    def _ask_dns(self) -> Verdict:
        from kubedoctor.cluster.dns import resolve

        probe = self._probe
        try:
            addresses = resolve(probe.path, probe.address, probe.port)
        except OSError as problem:
            return Verdict(ready=False, answered=False, message=f"{probe.address}: {_reason(problem)}")
        if addresses and (not probe.contains or probe.contains in addresses):
            return Verdict(ready=True, answered=True, message=f"answers at {probe.address}")
        return Verdict(ready=False, answered=True, message=f"{probe.address} does not know {probe.path}")

    def _ask_http(self) -> Verdict:
        probe = self._probe
        try:
            if self._connection is None:
                secure = probe.kind != "http"
                context = tls_context(probe.ca_file, probe.cert_file, probe.key_file) if secure else None
                self._connection = Connection(probe.address, probe.port, context)
            answer = self._connection.request("GET", probe.path)
        except OSError as problem:
            return Verdict(ready=False, answered=False, message=f"port {probe.port}: {_reason(problem)}")
        text = answer.body.decode(errors="replace")
        if answer.status == 200 and probe.contains in text:
            return Verdict(ready=True, answered=True, message="")
        path = probe.path.partition("?")[0]
        return Verdict(ready=False, answered=True, message=f"{path}: {_explain(answer.status, text)}")

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            self._connection.close()


def _patience(probe: PlannedProbe) -> float:
    """Return the seconds a connection may take: a service without rules loses packets, and the next try finds them."""
    return 2.0 if probe.address.startswith("127.") else 0.25


def _reason(problem: OSError) -> str:
    if isinstance(problem, TimeoutError):  # of the connection, the handshake or the answer: the words differ
        return "does not answer"
    text = problem.strerror or str(problem) or type(problem).__name__
    return text[0].lower() + text[1:]


def _explain(status: int, body: str) -> str:
    """Return what an answer other than yes says: the unfinished parts of /readyz, else the status."""
    unfinished = _UNFINISHED.findall(body)
    if unfinished:
        return ", ".join(unfinished[:3]) + (f" and {len(unfinished) - 3} more" if len(unfinished) > 3 else "")
    return f"HTTP {status}"


def _all(questions: Sequence[Question]) -> Verdict:
    answered = False
    for question in questions:
        verdict = question.ask()
        if not verdict.ready:
            return Verdict(ready=False, answered=answered or verdict.answered, message=verdict.message)
        answered = True
    return Verdict(ready=True, answered=True, message="")


class Prober(threading.Thread):
    """Asks all questions of one process of a component, again and again, and reports every change.

    *report* is called in this thread with each verdict that differs from the last one.
    """

    def __init__(
        self,
        probes: tuple[PlannedProbe, ...],
        report: Callable[[Verdict], None],
        usable: tuple[PlannedProbe, ...] = (),
    ) -> None:
        super().__init__(daemon=True)
        self._first = [Question(probe) for probe in usable]
        self._questions = [Question(probe) for probe in probes]
        self._report = report
        self._ended = threading.Event()

    def run(self) -> None:
        """Ask until `end` is called."""
        last: Verdict | None = None
        failures = rounds = 0
        while not self._ended.is_set():
            verdict = self._round()
            was_ready = last is not None and last.ready
            failures = failures + 1 if was_ready and not verdict.ready else 0
            if last != verdict and not 0 < failures < FAILURES_TO_UNREADY:
                last = verdict
                self._report(verdict)
            rounds = 0 if was_ready else rounds + 1
            impatient = INTERVAL_STARTING if rounds < ROUNDS_UNTIL_LONG else INTERVAL_LONG
            self._ended.wait(INTERVAL_READY if last is not None and last.ready else impatient)
        for question in [*self._first, *self._questions]:
            question.close()

    def _round(self) -> Verdict:
        if self._first:
            verdict = _all(self._first)
            if not verdict.ready:
                return verdict
            for question in self._first:
                question.close()
            self._first = []
            return replace(verdict, ready=False, usable=True)
        verdict = _all(self._questions)
        return replace(verdict, usable=True)

    def end(self) -> None:
        """Ask no more; does not wait for a question under way."""
        self._ended.set()


class Wakeup:
    """A pipe that wakes an event loop from threads and signal handlers."""

    def __init__(self) -> None:
        self.readable, self._writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def writable(self) -> int:
        """The end that `signal.set_wakeup_fd` takes."""
        return self._writable

    def __call__(self) -> None:
        """Wake the loop."""
        with contextlib.suppress(BlockingIOError):  # full: it is awake already
            os.write(self._writable, b"\0")

    def drain(self) -> None:
        """Take what was written, so that the loop sleeps again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.readable, 4096):
                pass
