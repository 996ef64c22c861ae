"""What there is to look at is found in time, or it is said that it was not."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from support.checks import MACHINE, cluster, fact_of

from kubedoctor import FactError, Instance, Look, Target
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
    monkeypatch.setattr("kubedoctor.doctor.targets.discover", lambda look, ours: never.wait())
    machine, ours = found(seconds=0.1)
    assert machine.notes == ("what runs here is not known: the search did not answer in 0.1 s",)
    assert machine.unseen
    assert ours is OURS


def test_facts_that_hang_cost_themselves_alone(known: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    dead = fact_of("targets.file", lambda _, name: never.wait())
    outer = fact_of("targets.outer", lambda look: look.get(dead, "b"))
    quick = fact_of("targets.quick", lambda look: counted.append(1))
    counted: list[int] = []

    def discover(look: Look, ours: Sequence[Target]) -> tuple[Target, ...]:
        machine, *others = ours
        look.get(quick)
        notes = []
        for asked, arguments in ((dead, ("a",)), (outer, ()), (dead, ("a",))):
            try:
                look.get(asked, *arguments)
            except FactError as problem:
                notes.append(problem.reason)
        return (replace(machine, notes=tuple(notes)), *others, cluster("found"))

    monkeypatch.setattr("kubedoctor.doctor.targets.discover", discover)
    machine, *others = found()
    assert machine.notes == tuple(f'targets.file("{name}") did not answer' for name in "aba")
    assert not machine.unseen
    assert [target.id for target in others] == ["ours", "found"]
    assert counted == [1]


def test_a_search_for_which_everything_hangs_names_what_it_waited_for(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    dead = fact_of("targets.file", lambda _, number: never.wait())

    def discover(look: Look, ours: object) -> None:
        for number in range(1000):
            with suppress(FactError):
                look.get(dead, number)

    monkeypatch.setattr("kubedoctor.doctor.targets.discover", discover)
    machine, _ = found(seconds=1.0)
    assert re.fullmatch(r"what runs here is not known: targets\.file\(\d+\) did not answer in 1 s", machine.notes[0])
    assert machine.unseen


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
