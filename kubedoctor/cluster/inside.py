"""What the cloned child of the keeper does: become the place, then supervise it. Standard library only."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from kubedoctor.cluster import kernel, sandbox, wire
from kubedoctor.cluster.channel import Channel, ChannelClosed
from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.relays import RelayProcess, published
from kubedoctor.cluster.supervisor import Supervisor

_BACKLOG = 128


def live(plan: Plan, channel_socket: socket.socket, *, instance: str, sandboxed: bool) -> NoReturn:
    """Wait for the keeper's go, set up the sandbox, run the plan, end this process.

    The keeper's `go` comes only when this process is on record: nothing may have children that nobody knows of.
    """
    status = 1
    try:
        sandbox.close_other_descriptors({channel_socket.fileno()})
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        kernel.set_process_name("kd-supervisor")
        channel = Channel(channel_socket)
        (go, descriptors), *later = _wait_for_go(channel)
        # After the user map is there: becoming root in a user namespace clears the death signal.
        kernel.die_with_parent()
        if sandboxed:
            sandbox.set_up(plan)
            if (wanted := plan.wire) is not None:
                sandbox.take("set up the wire to the host", lambda: wire.join(go["wire"], wanted))
        else:
            kernel.adopt_orphans()
        os.chdir(plan.directory)
        supervisor = Supervisor(plan, channel, instance=instance, sandboxed=sandboxed)
        if sandboxed:
            relay = RelayProcess()
            supervisor.relay = relay
            for entry, descriptor in zip(go["listeners"], descriptors, strict=True):
                relay.add(published(descriptor, entry["inside"], entry["outside"], plan.address))
            _offer_reach(plan, channel)
            _offer_pulls(plan, channel)
        supervisor.run(later)
        status = 0
    except ChannelClosed:
        pass  # the keeper has ended: so do we
    except sandbox.SandboxStep as problem:
        _report(channel, str(problem))
    except BaseException:  # the last border: whatever it is goes to keeper.log
        traceback.print_exc()
        _report(channel, f"defect in the supervisor: {sys.exc_info()[1]!r}")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _wait_for_go(channel: Channel) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the keeper's `go` and what came with it: the wish to stop again, when `up` was killed at this moment."""
    while True:
        channel.wait()
        if messages := channel.receive():
            return messages


def _offer_reach(plan: Plan, channel: Channel) -> None:
    """Listen inside for what shall be reached outside; the keeper's relay accepts and connects out there."""
    listeners = []
    for reach in plan.reach:
        listener = socket.create_server((reach.address, reach.port), backlog=_BACKLOG)
        listener.setblocking(False)
        listeners.append(listener)
    if listeners:
        ports = [reach.port for reach in plan.reach]
        channel.send({"event": "listeners", "ports": ports}, [listener.fileno() for listener in listeners])
    for listener in listeners:
        listener.close()


def _offer_pulls(plan: Plan, channel: Channel) -> None:
    """Listen inside for image pulls; the keeper's proxy accepts and goes on from out there."""
    if plan.pulls is not None:
        with socket.create_server((plan.pulls.address, plan.pulls.port), backlog=_BACKLOG) as listener:
            channel.send({"event": "pulls"}, [listener.fileno()])


def _report(channel: Channel, message: str) -> None:
    try:
        channel.send({"event": "failed", "message": message})
        while channel.wants_write:
            channel.flush()
    except ChannelClosed:
        pass
