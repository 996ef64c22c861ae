"""What there is to look at is found in time, or it is said that it was not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.checks import MACHINE, cluster, fact_of

from kubedoctor import Instance, Look, Target
from kubedoctor.cli import survey as module
from kubedoctor.cli.survey import survey
from kubedoctor.plugins import Manager

OURS = cluster("ours", "etcd")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make `up`'s plan and our clusters known without a directory; what is asked for is told."""
    asked: dict[str, Any] = {}

    def known_targets(manager: Manager, **options: Any) -> tuple[Target, ...]:
        asked.update(options)
        return (MACHINE, OURS)

    monkeypatch.setattr("kubedoctor.cli.targets.known_targets", known_targets)
    return asked


def found(**options: Any) -> tuple[Target, ...]:
    with survey(Manager(), **options) as (_, targets):
        return tuple(targets)


def test_what_is_discovered_is_looked_at(known: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubedoctor.doctor.targets.discover", lambda look, ours: (*ours, cluster("found")))
    assert [target.id for target in found(kubeconfig="a.conf")] == ["machine", "ours", "found"]
    assert known["kubeconfig"] == "a.conf"


def test_a_search_that_hangs_leaves_what_is_known_and_a_note(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    stuck = fact_of("host.processes", lambda _: never.wait())

    def discover(look: Look, ours: object) -> None:
        look.get(stuck)

    monkeypatch.setattr(module, "SECONDS", 0.1)
    monkeypatch.setattr("kubedoctor.doctor.targets.discover", discover)
    machine, ours = found()
    assert machine.notes == ("what runs here is not known: host.processes() did not answer in 0.1 s",)
    assert ours is OURS


def test_a_defect_of_the_search_is_one(known: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def discover(look: Look, ours: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("kubedoctor.doctor.targets.discover", discover)
    with pytest.raises(ZeroDivisionError):
        found()


def test_networks_of_others_are_open_while_there_is_something_to_look_at(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    elsewhere = Target(
        id="x",
        kind=OURS.kind,
        title="x",
        instances=tuple(Instance(name="etcd", source="-", net=n) for n in (7, 0, 7, 9)),
    )
    monkeypatch.setattr("kubedoctor.doctor.targets.discover", lambda look, ours: (*ours, elsewhere))
    monkeypatch.setattr("kubedoctor.host.agent.prepare", done.append)
    monkeypatch.setattr("kubedoctor.host.agent.dismiss", lambda: done.append("dismissed"))

    def look() -> None:
        with survey(Manager()):
            done.append("looked")
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert done == [[7, 9], "looked", "dismissed"]
