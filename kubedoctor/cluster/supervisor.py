"""The supervisor: runs one plan in one place, as pid 1 of its sandbox. Standard library only.

One event loop decides; probes and manifests work in threads and only post to it. It writes no state: the keeper is told
of every change, and of every process by its pidfd.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubedoctor.cluster.channel import Channel, ChannelClosed
from kubedoctor.cluster.documents import WELL, Plan, State
from kubedoctor.cluster.manifests import Manifests
from kubedoctor.cluster.probe import Prober, Verdict, Wakeup
from kubedoctor.cluster.relays import RelayProcess, published
from kubedoctor.cluster.running import EXITS_TO_FAIL, EXITS_WINDOW, RUNS, Running, Waiter, ended_children
from kubedoctor.cluster.spawn import describe_exit, spawn
from kubedoctor.jsonform import from_json

SUCCESS = "exit status 0"


class Supervisor:
    """Runs *plan*, telling the keeper over *channel*; `run` returns when everything has ended."""

    def __init__(self, plan: Plan, channel: Channel, *, instance: str, sandboxed: bool) -> None:
        self._plan = plan
        self._channel = channel
        self._extra_env = {"KUBEDOCTOR_INSTANCE": instance}
        self._sandboxed = sandboxed
        self._running = {component.name: Running(component) for component in plan.components}
        self._wakeup = Wakeup()
        self._posts: deque[Callable[[], None]] = deque()  # appended to by threads; appending is atomic
        self._waiters: list[Waiter] = []
        self._manifests = Manifests(plan, self._post, self._send)
        self._told_ready = False
        self._stopping = False
        self.relay: RelayProcess | None = None  # of the sandbox; on the host there is nothing to carry

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, heard: Sequence[tuple[Mapping[str, Any], list[int]]] = ()) -> None:
        """Run until asked to stop and everything has ended, or until the keeper is gone; *heard* came in before."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop_all())
        signal.set_wakeup_fd(self._wakeup.writable, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._wakeup.readable, select.POLLIN)
        for running in self._running.values():
            self._tell(running, self._waits_for(running))
        for message, descriptors in heard:
            self._obey(message, descriptors)
        while True:
            self._act()
            if self._stopping and not any(running.pid for running in self._running.values()):
                return
            poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._channel.wants_write else 0))
            ready = dict(poll.poll(self._milliseconds()))
            if self._wakeup.readable in ready:
                self._wakeup.drain()
            self._reap()
            while self._posts:
                self._posts.popleft()()
            if self._channel.fileno() in ready:
                self._converse(ready[self._channel.fileno()])

    def _post(self, act: Callable[[], None]) -> None:
        self._posts.append(act)
        self._wakeup()

    def _milliseconds(self) -> float | None:
        """Return how long the loop may sleep: until the next retry or kill is due."""
        times = [t for running in self._running.values() for t in (running.retry_at, running.kill_at) if t is not None]
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None

    def _act(self) -> None:
        """Do whatever is due now."""
        now = time.monotonic()
        for running in self._running.values():
            if running.kill_at is not None and running.kill_at <= now:
                running.kill_at = None
                self._kill_group(running.pid)
            if running.retry_at is not None and running.retry_at <= now:
                running.retry_at = None
                self._start(running)
        if self._stopping:
            self._stop_free_ones()
            return
        for running in self._running.values():
            if running.state is State.WAITING and running.wanted and not self._waits_for(running):
                self._start(running)
        self._tell_readiness()

    # --- starting and ending processes --------------------------------------------------------------------------------

    def _waits_for(self, running: Running) -> str:
        missing = self._missing(running)
        return f"waits for {', '.join(missing)}" if missing else ""

    def _missing(self, running: Running) -> list[str]:
        """Return the components it comes after that do not work now."""
        known = (self._running[name] for name in running.plan.after if name in self._running)
        return [one.plan.name for one in known if one.state not in WELL and not (running.plan.early and one.usable)]

    def _start(self, running: Running) -> None:
        running.begins()
        try:
            running.pid = spawn(running.plan, self._extra_env, die_with_parent=not self._sandboxed)
        except OSError as problem:
            what = "its log" if problem.filename == running.plan.log else running.plan.argv[0]
            self._failed(running, f"cannot start: {what}: {problem.strerror or problem}", "")
            return
        running.state = State.STARTING
        handle = os.pidfd_open(running.pid)
        try:
            self._tell(running, "", descriptors=(handle,))
        finally:
            os.close(handle)
        if running.plan.ends:
            return
        generation = running.generation
        running.prober = Prober(
            running.plan.ready,
            lambda verdict: self._post(lambda: self._heard(running, generation, verdict)),
            usable=running.plan.usable,
        )
        running.prober.start()

    def _heard(self, running: Running, generation: int, verdict: Verdict) -> None:
        """Take in what a prober found, unless its process is of the past."""
        if generation != running.generation or running.state not in (State.STARTING, State.READY):
            return
        running.usable = verdict.usable
        if verdict.ready:
            running.state, running.was_ready = State.READY, True
            self._tell(running, "")
        else:
            running.state = State.STARTING
            self._tell(running, verdict.message, answered=verdict.answered)

    def _stop(self, running: Running) -> None:
        """Ask the component's process to end; its group is killed when it does not in time."""
        running.wanted = False
        running.retry_at = None
        if running.pid and running.state is not State.STOPPING:
            running.state = State.STOPPING
            running.kill_at = time.monotonic() + running.plan.stop_timeout
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, getattr(signal.Signals, running.plan.stop_signal))
                os.kill(running.pid, signal.SIGCONT)  # a stopped process, as debuggers leave it, hears nothing else
            self._tell(running, "")
        elif not running.pid and running.state is not State.EXITED:
            running.state = State.EXITED
            self._tell(running, "")

    def stop_all(self) -> None:
        """End everything, dependents first; `run` returns when it is done."""
        if not self._stopping:
            self._stopping = True
            self._manifests.end()
            self._send({"event": "stopping"})
            self._wakeup()

    def _stop_free_ones(self) -> None:
        """Stop every component that no running one needs any more."""
        needed = {name for running in self._running.values() if running.pid for name in running.plan.after}
        for name, running in self._running.items():
            if name not in needed:
                self._stop(running)

    def _kill_group(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Take every child that has ended: components to their owner, strangers (we are pid 1) to nobody."""
        for status in ended_children():
            owner = next((running for running in self._running.values() if running.pid == status.si_pid), None)
            if owner is not None:
                self._kill_group(status.si_pid)  # what it left behind in its session
                self._ended(owner, describe_exit(status))
            elif self.relay is not None:
                self.relay.ended(status.si_pid)

    def _ended(self, running: Running, reason: str) -> None:
        running.ended()
        if running.plan.ends and reason == SUCCESS and running.state is not State.STOPPING:
            running.state, running.was_ready = State.DONE, True
            self._tell(running, "", exit=reason)
            return
        if running.state is State.STOPPING:
            running.state = State.WAITING if running.wanted and not self._stopping else State.EXITED
            self._tell(running, "", exit=reason)
        else:
            self._failed(running, reason, running.last_error())

    def _failed(self, running: Running, reason: str, log_line: str) -> None:
        """Tell of an end that nobody asked for, and whether another try follows."""
        message, gone = reason, self._missing(running)
        if gone and not running.was_ready:  # what it said of its end says nothing of that
            message += f", after {', '.join(gone)} had ended"
        if not running.failed(time.monotonic()):
            message += f"; given up after {EXITS_TO_FAIL} ends within {EXITS_WINDOW:.0f} s"
        self._tell(running, message, exit=reason, log_line=log_line, fatal=not running.was_ready)

    # --- what the cluster as a whole is -------------------------------------------------------------------------------

    def _tell_readiness(self) -> None:
        everyone = [running for running in self._running.values() if running.wanted]
        if self._api_is_ready():
            self._manifests.api_is_ready()
        ready = bool(everyone) and all(running.state in WELL for running in everyone) and self._manifests.are_well
        if ready != self._told_ready:
            self._told_ready = ready
            self._send({"event": "ready" if ready else "not-ready"})

    def _api_is_ready(self) -> bool:
        api = self._plan.api
        servers = (r for r in self._running.values() if api and any(port.inside == api.port for port in r.plan.ports))
        return any(running.state is State.READY or running.usable for running in servers)

    # --- talking with the keeper --------------------------------------------------------------------------------------

    def _tell(
        self,
        running: Running,
        message: str,
        *,
        exit: str = "",  # noqa: A002 - the word of the document
        log_line: str = "",
        answered: bool = False,
        fatal: bool = False,
        descriptors: tuple[int, ...] = (),
    ) -> None:
        event = {
            "event": "state",
            "component": running.plan.name,
            "state": running.state.value,
            "message": message,
            "exit": exit,
            "log_line": log_line,
            "answered": answered,
            "pid_inside": running.pid,
            "fatal": fatal,  # it ended before it ever was ready: a bring-up has failed
        }
        self._send(event, descriptors)
        for waiter in [waiter for waiter in self._waiters if waiter.component == running.plan.name]:
            self._settle(waiter, running, message, log_line)

    def _settle(self, waiter: Waiter, running: Running, message: str, log_line: str) -> None:
        if running.state is waiter.goal or (running.state is State.DONE and waiter.goal is State.READY):
            self._answer(waiter.request)
        elif running.state in (State.FAILED, State.BACKOFF, State.EXITED) and waiter.goal is State.READY:
            self._refuse(waiter.request, f"{running.plan.name}: {message or running.state}", log_line)
        else:
            return
        self._waiters.remove(waiter)

    def _send(self, message: Mapping[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        with contextlib.suppress(ChannelClosed):  # the loop notices at its next look
            self._channel.send(message, descriptors)

    def _answer(self, request: int, **fields: object) -> None:
        self._send({"id": request, "ok": True, **fields})

    def _refuse(self, request: int, error: str, hint: str = "") -> None:
        self._send({"id": request, "ok": False, "error": error, "hint": hint})

    def _converse(self, happened: int) -> None:
        try:
            if happened & select.POLLOUT:
                self._channel.flush()
            if happened & ~select.POLLOUT:
                for message, descriptors in self._channel.receive():
                    self._obey(message, descriptors)
        except ChannelClosed:
            os._exit(1)  # the keeper is gone; the kernel ends the rest with us

    def _obey(self, message: Mapping[str, Any], descriptors: list[int]) -> None:
        request, name = int(message.get("id", 0)), str(message.get("component", ""))
        match message.get("request"):
            case "shutdown":
                self.stop_all()
                self._answer(request)
            case "apply":
                self._answer(request, restarted=list(self._apply(message.get("components", ()))))
            case "publish" if self.relay is not None and descriptors:
                inside, outside = int(message["inside"]), int(message["outside"])
                self.relay.add(published(descriptors[0], inside, outside, self._plan.address))
                self._answer(request)
            case "unpublish" if self.relay is not None:
                if self.relay.remove(int(message["outside"])):
                    self._answer(request)
                else:
                    self._refuse(request, f"port {message['outside']} is not published")
            case "start" | "stop" | "restart" as verb if name in self._running:
                self._turn(request, verb, self._running[name])
            case "start" | "stop" | "restart":
                self._refuse(request, f"there is no component `{name}`", f"there are {', '.join(self._running)}")
            case other:
                self._refuse(request, f"unknown request {other!r}")

    def _turn(self, request: int, verb: str, running: Running) -> None:
        if verb != "start":
            self._stop(running)
        if verb != "stop":
            self._want(running)
        goal = State.EXITED if verb == "stop" else State.READY
        if running.state is goal:
            self._answer(request)
        else:
            self._waiters.append(Waiter(request, running.plan.name, goal))

    def _want(self, running: Running) -> None:
        """Have the component run: at once, or when the process that is ending has ended."""
        running.wanted = True
        running.exits.clear()
        if running.state not in RUNS:
            running.retry_at, running.was_ready = None, False
            running.state = State.WAITING
            self._tell(running, self._waits_for(running))

    def _apply(self, forced: object) -> Iterator[str]:
        """Take the plan as the file has it now; yield the components that are started, stopped or restarted for it."""
        plan = from_json(Plan, json.loads((Path(self._plan.directory) / "plan.json").read_text()))
        names = set(forced) if isinstance(forced, list) else set()
        planned = {component.name: component for component in plan.components}
        for name in [name for name in self._running if name not in planned]:
            self._stop(self._running[name])
            yield name
        for name, component in planned.items():
            running = self._running.get(name)
            if running is None:
                self._running[name] = Running(component)
                self._tell(self._running[name], "")
                yield name
            elif running.runs_differently(component) or name in names:
                running.plan = component
                self._stop(running)
                self._want(running)
                yield name
            else:
                running.plan = component
        if plan.manifests != self._plan.manifests:
            self._manifests.end()
            self._manifests = Manifests(plan, self._post, self._send)
        self._plan = plan
        self._told_ready = False
