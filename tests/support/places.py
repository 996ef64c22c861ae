"""A place of fake components, run by the real keeper and supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubedoctor.cluster import place as places
from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.documents import Event, PlaceStatus, Plan, PlannedComponent, PlannedPort, PlannedProbe
from kubedoctor.cluster.identity import ProcessIdentity, identify, send
from kubedoctor.cluster.launch import launch
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.jsonform import from_json, to_json

FAKE = Path(__file__).resolve().parents[1] / "fakes" / "component.py"


def fake(paths: PlacePaths, name: str, port: int, *options: str, **changes: Any) -> PlannedComponent:
    """Return a fake component that serves on *port* of the inside."""
    fields: dict[str, Any] = {
        "name": name,
        "kind": "extra",
        "binary": sys.executable,
        "version": "v1",
        "argv": (sys.executable, "-I", "-S", str(FAKE), "--port", str(port), *options),
        "env": {"PATH": os.defpath},
        "log": str(paths.logs / f"{name}.log"),
        "ports": (PlannedPort(name="http", inside=port),),
        "ready": (PlannedProbe(kind="http", address="127.0.0.1", port=port, path="/healthz"),),
        "stop_timeout": 0.5,
    }
    return PlannedComponent(**{**fields, **changes})


@dataclass
class Kept:
    """A place with its keeper; leaving it ends everything."""

    paths: PlacePaths
    lifeline: ControlClient
    process: Any
    seen: list[Event]
    _source: Iterator[dict[str, Any]]

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the next event that is wanted, waiting for it."""
        for message in self._source:
            event = from_json(Event, message)
            self.seen.append(event)
            if wanted(event):
                return event
        raise AssertionError(f"the keeper ended; its log:\n{self.paths.keeper_log.read_text()}\n{self.seen}")

    def until_event(self, name: str) -> Event:
        return self.until(lambda event: event.event == name)

    def until_state(self, component: str, state: str) -> Event:
        return self.until(lambda event: (event.component, event.state) == (component, state))

    def status(self) -> PlaceStatus:
        with ControlClient(self.paths.socket) as client:
            return from_json(PlaceStatus, client.request("status")["place"])

    def request(self, name: str, **fields: Any) -> dict[str, Any]:
        with ControlClient(self.paths.socket) as client:
            return client.request(name, **fields)

    def identity(self, component: str) -> ProcessIdentity:
        status = next(status for status in self.status().components if status.name == component)
        return ProcessIdentity(status.pid, status.start_ticks)


def plan_of(paths: PlacePaths, *components: PlannedComponent, kind: str = "sandbox", **changes: Any) -> Plan:
    return Plan(
        cluster="test",
        place="node-1",
        place_kind=kind,
        kubernetes="",
        directory=str(paths.directory),
        address="198.18.0.1",
        components=components,
        **changes,
    )


def write_plan(paths: PlacePaths, plan: Plan) -> None:
    paths.plan.write_text(json.dumps(to_json(plan)))


@contextlib.contextmanager
def kept(paths: PlacePaths, plan: Plan, listeners: Sequence[Mapping[str, int]] = ()) -> Iterator[Kept]:
    """Run *plan*; at the end the lifeline is cut, which ends everything."""
    write_plan(paths, plan)
    lock = places.acquire(paths)
    connection, process = launch(paths, lock=lock, instance=secrets.token_hex(8), listeners=listeners)
    os.close(lock)
    lifeline = ControlClient(paths.socket, connection=connection)
    identity = identify(process.pid)
    try:
        yield Kept(paths, lifeline, process, [], lifeline.events())
    finally:
        lifeline.close()
        try:
            process.wait(20)
        finally:
            send(identity, signal.SIGKILL)  # the test has failed when it needs this; the machine must not suffer
