"""The keeper: owns a place from outside. Standard library only.

It lives as long as the cluster and must stay small. It holds the lock, the control socket, the listeners and the
record; it clones the supervisor and ends when that has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from kubedoctor.cluster import cgroups, inside, kernel, sandbox, subordinate
from kubedoctor.cluster.channel import Channel, ChannelClosed, ProtocolError
from kubedoctor.cluster.cleanup.child import clear_in_child
from kubedoctor.cluster.control import allowed, listen, peer_uid
from kubedoctor.cluster.documents import Event, Phase, PlaceStatus, Plan, ProcessStatus
from kubedoctor.cluster.identity import boot_id, identify
from kubedoctor.cluster.lent import Lent
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.cluster.probe import Wakeup
from kubedoctor.cluster.record import Record, now
from kubedoctor.cluster.running import ended_children
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass

SHUTDOWN_LONGEST = 30.0
"""Seconds for an orderly stop of everything; then pid 1 is killed, which ends the rest at once."""
_FORWARDED = frozenset({"start", "stop", "restart", "apply"})
_CHANGES = _FORWARDED | {"publish", "unpublish"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperTask:
    """What `up` hands to the keeper over the lifeline."""

    place: str  # directory
    instance: str
    listeners: tuple[Mapping[str, int], ...] = ()  # {"outside", "inside"}, as their descriptors


@dataclass(slots=True)
class Client:
    """A connection to the control socket, or the lifeline."""

    channel: Channel
    is_lifeline: bool = False
    follows: Callable[[Event], None] | None = None
    asked: dict[int, int] = field(default_factory=dict)  # our number of a forwarded request -> the client's


class Keeper:
    """Keeps one place until its supervisor has ended."""

    def __init__(self, task: KeeperTask, lifeline: Channel, listeners: list[int]) -> None:
        self._task = task
        self._lifeline = lifeline
        self._paths = PlacePaths(Path(task.place))
        self._plan = from_json(Plan, json.loads(self._paths.plan.read_text()))
        self._wakeup = Wakeup()
        self._poll = select.poll()
        self._clients: dict[int, Client] = {}
        self._requests = 0
        self._released = False
        self._kill_at: float | None = None
        self._asked_to_stop = False
        self._lent = Lent(self._plan, task.instance)
        made = cgroups.leave_session(f"{self._plan.cluster}-{self._plan.place}")
        pods = cgroups.node_directories(self._plan.cgroup) if self._plan.cgroup else ()
        status = PlaceStatus(
            name=self._plan.place,
            kind=self._plan.place_kind,
            phase=Phase.STARTING.value,
            boot_id=boot_id(),
            instance=task.instance,
            since=now(),
            keeper=ProcessStatus(pid=os.getpid(), start_ticks=identify(os.getpid()).start_ticks),
            cgroups=(*made, *pods),
        )
        self._record = Record(self._paths, self._plan, status)
        self._record.write()
        cgroups.make(pods)  # after the record, so that whoever finds it removes them
        self._listener = listen(self._paths.socket)
        self._channel, self._pid, self._pidfd = self._clone_supervisor(listeners)

    # --- making the supervisor ----------------------------------------------------------------------------------------

    def _clone_supervisor(self, descriptors: list[int]) -> tuple[Channel, int, int]:
        """Clone the supervisor, put it on record, and only then let it go on."""
        task, sandboxed = self._task, self._plan.place_kind == "sandbox"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        privileged = os.geteuid() == 0
        pid, pidfd = kernel.clone(sandbox.namespaces(privileged=privileged) if sandboxed else 0)
        if pid == 0:
            inside.live(self._plan, theirs, instance=task.instance, sandboxed=sandboxed)
        theirs.close()
        if sandboxed and not privileged:
            (subordinate.map_users if self._plan.node else kernel.map_user)(pid)
        identity = identify(pid)
        supervisor = ProcessStatus(pid=pid, pid_inside=1 if sandboxed else pid, start_ticks=identity.start_ticks)
        self._record.status = replace(self._record.status, supervisor=supervisor)
        self._record.write()
        channel = Channel(ours)
        try:
            lent = self._lent.connect(pid)
            channel.send({"go": True, "listeners": list(task.listeners), **lent}, descriptors)
        except OSError as problem:
            self._take_in({"event": "failed", "message": f"cannot connect it to the host: {problem.strerror}"}, ())
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for descriptor in descriptors:
            os.close(descriptor)  # the relay inside has them
        return channel, pid, pidfd

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, asked: list[tuple[dict[str, Any], list[int]]]) -> None:
        """Serve until the supervisor has ended; *asked* came over the lifeline with the task."""
        self._watch()
        for message, descriptors in asked:
            self._obey(self._clients[self._lifeline.fileno()], message, descriptors)
        while True:
            self._record.settle()
            self._watch_writers()
            ready = dict(self._poll.poll(self._milliseconds()))
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill_at = None
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            if self._wakeup.readable in ready:
                self._wakeup.drain()
                self._reap_relay()
            if self._channel.fileno() in ready:
                self._hear_supervisor()
            if self._pidfd in ready:
                return
            if self._listener.fileno() in ready:
                self._accept()
            for descriptor in [descriptor for descriptor in ready if descriptor in self._clients]:
                self._serve(descriptor, ready[descriptor])

    def _watch(self) -> None:
        """Take signals, and have the poll tell of everything there is to serve."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal of `up` may go
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._shut_down())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup.writable, warn_on_full_buffer=False)
        self._add_client(self._lifeline, is_lifeline=True)
        for source in (self._wakeup.readable, self._listener.fileno(), self._pidfd):
            self._poll.register(source, select.POLLIN)

    def _milliseconds(self) -> float | None:
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic()) * 1000 + 1

    def _watch_writers(self) -> None:
        """Ask for writability exactly where something waits to be written."""
        for channel in [self._channel, *(client.channel for client in self._clients.values())]:
            if not channel.closed:
                self._poll.register(channel, select.POLLIN | (select.POLLOUT if channel.wants_write else 0))

    def _reap_relay(self) -> None:
        """Make again what serves the inside and ended; the supervisor is left for its pidfd to tell."""
        for status in ended_children(spare=self._pid):
            self._lent.ended(status.si_pid)

    # --- the supervisor -----------------------------------------------------------------------------------------------

    def _hear_supervisor(self) -> None:
        try:
            if self._channel.wants_write:
                self._channel.flush()
            messages = self._channel.receive()
        except ChannelClosed:
            if not self._channel.closed:
                self._poll.unregister(self._channel)
                self._channel.close()
            return  # its pidfd tells when it has ended
        for message, descriptors in messages:
            try:
                self._take_in(message, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _take_in(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        record = self._record
        match message.get("event"):
            case "state":
                record.heard(message, descriptors[0] if descriptors else None)
            case "ready":
                record.enter(Phase.READY)
                record.happened("ready")
            case "not-ready" if not self._asked_to_stop:
                record.enter(Phase.NOT_READY)
                record.happened("not-ready")
            case "stopping":
                record.enter(Phase.STOPPING)
                record.happened("stopping")
            case "failed":  # the place itself, not one of its components
                record.enter(Phase(record.status.phase), failure=str(message["message"]))
                record.happened("failed", message=str(message["message"]))
            case "note":
                record.happened("note", message=str(message["message"]))
            case "listeners" | "pulls":
                self._lent.heard(message, descriptors)
            case None:
                self._pass_answer(message)

    def _pass_answer(self, message: Mapping[str, Any]) -> None:
        number = int(message.get("id", 0))
        for client in self._clients.values():
            if number in client.asked:
                if message.get("restarted") is not None:
                    self._plan = from_json(Plan, json.loads(self._paths.plan.read_text()))
                    self._record.planned(self._plan)
                    self._lent.replanned(self._plan)
                answer = {**message, "id": client.asked.pop(number)}
                self._reply(client, answer)
                return

    def _shut_down(self, *, now_: bool = False) -> None:
        """Have the supervisor stop everything in order; kill it when it takes too long, or at once with *now_*."""
        if now_:
            self._kill_at = time.monotonic()
        elif self._kill_at is None:
            self._kill_at = time.monotonic() + SHUTDOWN_LONGEST
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._record.enter(Phase.STOPPING)  # at once: an `up` that asks now waits for the end
            with contextlib.suppress(ChannelClosed):
                self._channel.send({"id": 0, "request": "shutdown"})
        self._wakeup()

    # --- clients ------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor is free: it stays in the backlog
        if allowed(peer_uid(connection)):
            self._add_client(Channel(connection))
        else:
            connection.close()

    def _add_client(self, channel: Channel, *, is_lifeline: bool = False) -> None:
        self._clients[channel.fileno()] = Client(channel, is_lifeline)
        self._poll.register(channel, select.POLLIN)

    def _drop(self, descriptor: int) -> None:
        client = self._clients.pop(descriptor)
        self._poll.unregister(descriptor)
        if client.follows is not None:
            self._record.listeners.remove(client.follows)
        client.channel.close()
        if client.is_lifeline and not self._released:
            self._shut_down()  # `up` ended before it said that all is well

    def _serve(self, descriptor: int, happened: int) -> None:
        client = self._clients[descriptor]
        try:
            if happened & select.POLLOUT:
                client.channel.flush()
            if happened & ~select.POLLOUT:
                for message, descriptors in client.channel.receive():
                    self._obey(client, message, descriptors)
        except (ChannelClosed, ProtocolError):
            self._drop(descriptor)

    def _reply(self, client: Client, answer: Mapping[str, Any]) -> None:
        with contextlib.suppress(ChannelClosed):  # noticed when it is served next
            client.channel.send(answer)

    def _refuse(self, client: Client, number: object, error: str, *, hint: str = "") -> None:
        self._reply(client, {"id": number, "ok": False, "error": error, "hint": hint})

    def _obey(self, client: Client, message: Mapping[str, Any], descriptors: list[int]) -> None:
        number, request = message.get("id", 0), message.get("request")
        if self._asked_to_stop and request in _CHANGES:
            for descriptor in descriptors:
                os.close(descriptor)
            self._refuse(client, number, "the cluster is being stopped", hint="wait for that, then try again")
            return
        if request == "publish" and len(descriptors) == 1 and self._plan.place_kind == "sandbox":
            self._forward(client, message, descriptors)
            os.close(descriptors[0])
            return
        for descriptor in descriptors:
            os.close(descriptor)
        if request == "status":
            self._reply(client, {"id": number, "ok": True, "place": to_json(self._record.current())})
        elif request == "events":
            self._follow(client, int(message.get("since", 0)), number)
        elif request == "shutdown":
            self._shut_down(now_=bool(message.get("now")))
            self._reply(client, {"id": number, "ok": True})
        elif request == "release" and client.is_lifeline:
            self._released = True
            self._reply(client, {"id": number, "ok": True})
        elif request in _FORWARDED or (request == "unpublish" and self._plan.place_kind == "sandbox"):
            self._forward(client, message, [])
        else:
            self._refuse(client, number, f"cannot {request} in this place")

    def _forward(self, client: Client, message: Mapping[str, Any], descriptors: list[int]) -> None:
        self._requests += 1
        client.asked[self._requests] = int(message.get("id", 0))
        try:
            self._channel.send({**message, "id": self._requests}, descriptors)
        except ChannelClosed:
            self._refuse(client, message.get("id", 0), "the supervisor is ending")

    def _follow(self, client: Client, since: int, number: object) -> None:
        self._reply(client, {"id": number, "ok": True})
        for event in self._record.since(since):
            self._reply(client, to_json(event))

        def tell(event: Event) -> None:
            self._reply(client, to_json(event))

        client.follows = tell
        self._record.listeners.append(tell)

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Record the end, remove what is outside of the place, tell everybody; the lock goes with the process."""
        with contextlib.suppress(ChannelClosed):
            self._hear_supervisor()  # its last words
        ended = os.waitid(os.P_PID, self._pid, os.WEXITED)
        self._lent.disconnect()
        self._record.settle()  # who ran, for whoever clears the host to end what still does
        left = clear_in_child(self._paths)
        self._record.ended()
        failure = self._record.status.failure
        if not self._asked_to_stop and not failure:
            how = f"signal {ended.si_status}" if ended and ended.si_code != os.CLD_EXITED else "an exit of its own"
            failure = f"the supervisor ended by {how}; see {self._paths.keeper_log}"
        failure = "; ".join(filter(None, (failure, left)))
        self._record.status = replace(self._record.status, keeper=ProcessStatus(), supervisor=ProcessStatus())
        self._record.enter(Phase.STOPPED, failure=failure)
        cgroups.enter_root(self._record.status.cgroups)
        cgroups.remove(self._record.status.cgroups)
        with contextlib.suppress(OSError):
            self._paths.socket.unlink()
        self._record.settle()
        self._record.happened("stopped", message=failure)
        deadline = time.monotonic() + 1.0  # a client that does not read does not hold the lock for long
        for client in self._clients.values():
            with contextlib.suppress(ChannelClosed):
                while client.channel.wants_write and time.monotonic() < deadline:
                    client.channel.wait(deadline - time.monotonic())


def main() -> None:
    """Be the keeper of the place that comes over the lifeline, the descriptor in the first argument."""
    os.umask(0o077)
    kernel.set_process_name("kd-keeper")
    lifeline = Channel(socket.socket(fileno=int(sys.argv[1])))
    os.set_inheritable(lifeline.fileno(), False)
    try:
        (message, descriptors), *more = _first_messages(lifeline)
    except ChannelClosed:
        return  # `up` found that it needs no keeper
    task = from_json(KeeperTask, message)
    log, lock, *listeners = descriptors
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.chdir(task.place)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the open file is the one `up` has locked; fails loudly if not
    keeper = Keeper(task, lifeline, listeners)
    keeper.run(more)
    keeper.finish()


def _first_messages(lifeline: Channel) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the task and whatever `up` has asked for already, right behind it."""
    while True:
        lifeline.wait()
        if found := lifeline.receive():
            return found


if __name__ == "__main__":
    main()
