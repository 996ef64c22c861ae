"""What is seen on a machine: typed, safe to store, gathered once in a run by whoever asks first.

A fact is a function with a name. It is given a `Look` to ask other facts with, and uses the doors of `kubedoctor.host`
to see the machine. What it returns has a JSON form (`kubedoctor.jsonform`), so it can be recorded and read back on
another machine, and holds no secret: a private key becomes the hash of its public key, a token nothing at all.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from kubedoctor.jsonform import to_json
from kubedoctor.records import dataclass

P = ParamSpec("P")
T = TypeVar("T")


class FactError(Exception):
    """Why a fact cannot be had; *reason* says it in a few words that fit behind "unknown: "."""

    kind: ClassVar[str] = "failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Absent(FactError):  # noqa: N818 - a state, not a mistake
    """What was asked for does not exist: no such file, process, socket, table."""

    kind = "absent"


class Denied(FactError):  # noqa: N818
    """We lack a right; the reason names it: `needs root`, `needs CAP_NET_ADMIN`."""

    kind = "denied"


class Silent(FactError):  # noqa: N818
    """It was asked, and nothing came in time; also a connection that was refused or broken off."""

    kind = "silent"


class Overdue(Silent):
    """It is still being waited for when the check's deadline has passed; the reason names what did not answer."""

    kind = "overdue"


class Malformed(FactError):  # noqa: N818
    """It is there and cannot be understood; the reason names the first place that does not fit."""

    kind = "malformed"


class NotRecorded(FactError):  # noqa: N818
    """A recording is looked at, and the fact is not in it."""

    kind = "not-recorded"


ERRORS: dict[str, type[FactError]] = {
    error.kind: error for error in (FactError, Absent, Denied, Silent, Overdue, Malformed, NotRecorded)
}
"""The errors by their `kind`, as they stand in a recording."""


class Look(Protocol):
    """What a fact asks with."""

    @property
    def now(self) -> float:
        """The time of this run, seconds since the epoch: the recorded machine's, when one is looked at."""

    def get(self, fact: Fact[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact's value, gathered now or before; raise the FactError that says why it cannot be had."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[P, T]):
    """A named way to see something. Arguments are positional, hashable, and have a JSON form.

    `recorded` False: it is derived from other facts at no cost, so those are recorded in its place.
    """

    name: str
    gather: Callable[Concatenate[Look, P], T]
    recorded: bool = True

    @property
    def kind(self) -> Any:
        """The type of the value, as annotated."""
        return typing.get_type_hints(self.gather)["return"]

    @property
    def what(self) -> str:
        """The first line of its documentation."""
        return (self.gather.__doc__ or "").strip().partition("\n")[0]

    def key(self, arguments: tuple[object, ...]) -> str:
        """Return the name under which the value for these arguments is recorded."""
        return f"{self.name}({json.dumps([to_json(one) for one in arguments])[1:-1]})"


def fact(name: str, *, recorded: bool = True) -> Callable[[Callable[Concatenate[Look, P], T]], Fact[P, T]]:
    """Make a function `(look, …) -> value` the fact *name*, which is `<plugin>.<what>` in kebab-case."""

    def make(gather: Callable[Concatenate[Look, P], T]) -> Fact[P, T]:
        return Fact(name=name, gather=gather, recorded=recorded)

    return make
