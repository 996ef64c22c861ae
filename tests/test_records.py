"""Classes made here behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor import records

Make = Callable[..., Any]


def classes(make: Make) -> tuple[Any, Any, Any]:
    @make(frozen=True, slots=True, kw_only=True)
    class Named:
        """What has a name."""

        name: str
        tags: tuple[str, ...] = ()
        seen: dict[str, int] = field(default_factory=dict)
        note: str = field(default="", compare=False, repr=False)

        @property
        def title(self) -> str:
            return self.name.title()

    @make(frozen=True, slots=True)
    class Pair:
        left: int
        right: int = 2

    @make(frozen=True, slots=True, kw_only=True)
    class More(Named):
        """It inherits."""

        name: str = "more"
        number: int = 0

        def __repr__(self) -> str:
            return "more"

    return Named, Pair, More


OURS, STANDARD = classes(records.dataclass), classes(dataclasses.dataclass)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call."""

    value: object = None
    error: str = ""


def tried(act: Callable[[], object]) -> Outcome:
    try:
        return Outcome(value=act())
    except Exception as problem:  # any: both have to raise the same
        return Outcome(error=f"{type(problem).__name__}: {problem}")


WORDS = st.dictionaries(
    st.sampled_from(["name", "tags", "seen", "note", "number", "left", "right", "other"]), st.integers(0, 3), max_size=4
)


@given(st.integers(0, 2), st.lists(st.integers(0, 3), max_size=3), WORDS)
def test_whatever_one_is_made_with_comes_to_the_same(which: int, given_: list[int], words: dict[str, int]) -> None:
    ours, standard = (tried(partial(made[which], *given_, **words)) for made in (OURS, STANDARD))
    assert ours.error == standard.error
    if not ours.error:
        assert repr(ours.value) == repr(standard.value)
        assert dataclasses.asdict(ours.value) == dataclasses.asdict(standard.value)  # type: ignore[call-overload]


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_equality_and_hash_go_by_what_is_compared(one: int, two: int, three: int, four: int) -> None:
    for named, pair, more in (OURS, STANDARD):
        assert (pair(one, two) == pair(three, four)) == ((one, two) == (three, four))
        assert hash(pair(one, two)) == hash((one, two))
        assert named(name="a", note=str(one)) == named(name="a", note=str(two))
        assert named(name="more") != more()
        assert pair(one, two) != (one, two)


@pytest.mark.parametrize("made", [OURS, STANDARD], ids=["ours", "standard"])
def test_nothing_can_be_changed_afterwards(made: tuple[Any, Any, Any]) -> None:
    _, pair, more = made
    with pytest.raises(FrozenInstanceError):
        pair(1).left = 2
    with pytest.raises(FrozenInstanceError):
        del pair(1).left
    with pytest.raises(FrozenInstanceError):
        more().number = 1


@pytest.mark.parametrize("made", [OURS, STANDARD], ids=["ours", "standard"])
def test_the_rest_of_the_standard_library_takes_it_for_one_of_its_own(made: tuple[Any, Any, Any]) -> None:
    named, pair, more = made
    one = named(name="web", tags=("a",))
    assert dataclasses.replace(one, name="db").title == "Db"
    assert dataclasses.replace(one, name="db").tags == ("a",)
    assert [entry.name for entry in dataclasses.fields(more)] == ["name", "tags", "seen", "note", "number"]
    assert named(name="x").seen is not named(name="y").seen
    assert not hasattr(one, "__dict__")
    assert copy.copy(one) == copy.deepcopy(one) == one
    match pair(3):
        case pair(left, right):
            assert (left, right) == (3, 2)


@records.dataclass(frozen=True, slots=True)
class Kept:
    """It can be pickled, as it has a place in a module."""

    value: int


def test_one_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Kept(3))) == Kept(3)


def test_what_is_not_frozen_is_the_standard_librarys() -> None:
    @records.dataclass(slots=True)
    class Open:
        value: int = 0

    one = Open()
    one.value = 3
    assert one == Open(3)


def test_it_is_not_slower_than_what_it_stands_for() -> None:
    """Counted in compiled methods, not in seconds."""
    code = """
import builtins, dataclasses, sys
from kubedoctor import records
count = 0
run = builtins.exec
def counted(*arguments):
    global count
    count += 1
    return run(*arguments)
builtins.exec = counted
for make in (dataclasses.dataclass, records.dataclass):
    count = 0
    @make(frozen=True, slots=True)
    class One:
        "Doc."
        value: int
    print(count)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    standard, ours = map(int, done.stdout.split())
    assert ours == 1
    assert standard >= ours
