"""A fact is gathered once, whoever asks; what goes wrong with it is told to everybody who does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.checks import fact_of

from kubedoctor import Absent, Denied, Fact, FactError, Look, Silent, fact
from kubedoctor.doctor.look import SharedLook, as_recorded, positional
from kubedoctor.facts import ERRORS, Overdue


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    """Return what each came to, an exception too; all begin at once."""
    results: list[Any] = [None] * len(work)
    gate = threading.Barrier(len(work))

    def do(number: int) -> None:
        gate.wait(10)
        try:
            results[number] = work[number]()
        except FactError as error:
            results[number] = error

    threads = [threading.Thread(target=do, args=(number,), daemon=True) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return results


def test_many_who_ask_at_once_let_it_be_gathered_once() -> None:
    gathered = []

    def gather(_: Look) -> int:
        gathered.append(threading.get_ident())
        return len(gathered)

    number = fact_of("acme.number", gather)
    look = SharedLook()
    assert in_threads(*(lambda: look.get(number) for _ in range(12))) == [1] * 12
    assert len(gathered) == 1


def test_other_arguments_are_another_fact() -> None:
    double = fact_of("acme.double", lambda _, number: 2 * number)
    look = SharedLook()
    assert [look.get(double, one) for one in (1, 2, 1)] == [2, 4, 2]
    assert sorted(look.answers()) == ["acme.double(1)", "acme.double(2)"]


def test_an_error_is_kept_as_an_answer_is_and_raised_anew_each_time() -> None:
    asked = []

    def gather(_: Look) -> None:
        asked.append(1)
        raise Denied("needs root")

    secret = fact_of("acme.secret", gather)
    look = SharedLook()
    with pytest.raises(Denied) as first:
        look.get(secret)
    with pytest.raises(Denied, match="needs root") as second:
        look.get(secret)
    assert first.value is not second.value
    assert len(asked) == 1


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by nothing"), SystemExit(3), RecursionError("deep"), MemoryError()]
)
def test_anything_else_a_gatherer_raises_is_a_failed_fact_that_is_named(error: BaseException) -> None:
    def gather(_: Look) -> None:
        raise error

    look = SharedLook()
    with pytest.raises(FactError, match=rf"^acme\.broken failed: {type(error).__name__}") as caught:
        look.get(fact_of("acme.broken", gather))
    assert type(caught.value) is FactError
    assert look.answers()["acme.broken()"].defect is error


def test_an_interrupt_is_no_answer() -> None:
    interrupts = [KeyboardInterrupt(), None]

    def gather(_: Look) -> str:
        if interrupt := interrupts.pop(0):
            raise interrupt
        return "there"

    it = fact_of("acme.it", gather)
    look = SharedLook()
    with pytest.raises(KeyboardInterrupt):
        look.get(it)
    assert look.get(it) == "there"


def test_a_plugins_own_kind_of_error_is_what_it_descends_from() -> None:
    class NoGizmo(Absent):
        def __init__(self) -> None:
            super().__init__("no gizmo")

    class Odd(Silent):
        kind = "odd"

    assert type(as_recorded(NoGizmo())) is Absent
    assert type(as_recorded(Odd("nothing heard"))) is Silent
    assert {type(as_recorded(kind("why"))) for kind in ERRORS.values()} == set(ERRORS.values())


# --- facts that ask facts ---------------------------------------------------------------------------------------------


def test_a_fact_that_asks_for_itself_fails_instead_of_waiting_for_ever() -> None:
    facts: dict[str, Fact[Any, Any]] = {}
    facts["a"] = fact_of("acme.a", lambda look: look.get(facts["b"]))
    facts["b"] = fact_of("acme.b", lambda look: look.get(facts["a"]))
    with pytest.raises(FactError, match=r"acme\.a\(\) asks for itself"):
        SharedLook().get(facts["a"])


def test_two_threads_that_would_wait_for_each_other_do_not() -> None:
    both = threading.Barrier(2)
    facts: dict[str, Fact[Any, Any]] = {}

    def gather(look: Look, other: str) -> Any:
        both.wait(10)
        return look.get(facts[other])

    facts["a"] = fact_of("acme.a", lambda look: gather(look, "b"))
    facts["b"] = fact_of("acme.b", lambda look: gather(look, "a"))
    look = SharedLook()
    found = in_threads(lambda: look.get(facts["a"]), lambda: look.get(facts["b"]))
    assert [type(one) for one in found] == [FactError, FactError]
    assert {one.reason.partition("(")[2] for one in found} == {") asks for itself"}


def test_the_seconds_of_a_fact_are_its_own() -> None:
    clock = [0.0]

    def inner(_: Look) -> None:
        clock[0] += 5

    def outer(look: Look) -> None:
        clock[0] += 1
        look.get(slow)

    slow, quick = fact_of("acme.slow", inner), fact_of("acme.quick", outer)
    look = SharedLook()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubedoctor.doctor.look.time.monotonic", lambda: clock[0])
        look.get(quick)
    assert {key: answer.seconds for key, answer in look.answers().items()} == {"acme.slow()": 5, "acme.quick()": 1}


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_not_waited_for_again() -> None:
    never, begun = threading.Event(), threading.Event()

    def hang(_: Look) -> None:
        begun.set()
        never.wait()

    stuck = fact_of("acme.stuck", hang)
    outer = fact_of("acme.outer", lambda look: look.get(stuck))
    look = SharedLook()
    thread = threading.Thread(target=lambda: look.get(outer), daemon=True)
    thread.start()
    assert begun.wait(10)
    here, there = threading.get_ident(), thread.ident or 0
    assert (look.awaited(there), look.awaited(here)) == ("acme.stuck()", "")
    assert (look.working_for(there), look.working_for(here)) == (there, here)
    assert look.give_up(there) == "acme.stuck()"
    for one in (outer, stuck):
        with pytest.raises(Overdue, match=r"^acme\.stuck\(\) did not answer$"):
            look.ask(one, (), {}, patience=0.01)
    never.set()
    thread.join(10)
    assert look.ask(outer, (), {}, patience=0.01) is None


def test_who_waits_for_another_thread_works_for_it() -> None:
    never, begun, asked = threading.Event(), threading.Event(), threading.Event()

    def hang(_: Look) -> None:
        begun.set()
        never.wait()

    def ask(look: Look) -> None:
        asked.set()
        look.get(stuck)

    stuck, outer = fact_of("acme.stuck", hang), fact_of("acme.outer", ask)
    look = SharedLook()
    first = threading.Thread(target=lambda: look.get(stuck), daemon=True)
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=lambda: look.get(outer), daemon=True)
    second.start()
    assert asked.wait(10)
    while look.awaited(second.ident or 0) != "acme.stuck()":
        pass  # it is on its way from `asked` to its wait
    assert look.working_for(second.ident or 0) == first.ident
    never.set()
    second.join(10)
    assert look.working_for(second.ident or 0) == second.ident


# --- the names of answers ---------------------------------------------------------------------------------------------


@fact("acme.text")
def text(look: Look, path: str, root: int = 0, limit: int | None = None) -> str:
    """The text of a file."""
    return f"{path} {root} {limit}"


def test_one_thing_has_one_name_however_it_is_asked_for() -> None:
    look = SharedLook()
    asked = [
        look.get(text, "/a"),
        look.get(text, "/a", 0),
        look.get(text, "/a", root=0),
        look.get(text, path="/a", limit=None),
    ]
    assert set(asked) == {"/a 0 None"}
    assert list(look.answers()) == ['acme.text("/a")']
    assert look.get(text, "/a", limit=3) == "/a 0 3"
    assert look.get(text, "/a", False) == "/a False None"
    assert list(look.answers()) == ['acme.text("/a")', 'acme.text("/a", 0, 3)', 'acme.text("/a", false)']


@given(st.text(), st.integers(-3, 3), st.none() | st.integers(-3, 3))
def test_arguments_left_out_do_not_change_what_is_asked(path: str, root: int, limit: int | None) -> None:
    short = positional(text, (path, root, limit), {})
    assert short == positional(text, (path,), {"root": root, "limit": limit})
    gather: Callable[..., str] = text.gather
    assert gather(SharedLook(), *short) == text.gather(SharedLook(), path, root, limit)
