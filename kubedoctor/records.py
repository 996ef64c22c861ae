"""`dataclass` as the standard library has it, for a third of its price at import.

A command imports a few hundred frozen classes, and the standard library compiles six methods for each: 40 % of the time
of `kubedoctor check`. Here one method is compiled; the others are the same functions for all. What a class does is not
different, and to type checkers it is the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
        eq: bool = True,
    ) -> Any:
        """Return the class, or a decorator; only what is frozen, with slots, differs from the standard library's."""

        def make(plain: type) -> type:
            if frozen and slots and eq and not hasattr(plain, "__post_init__"):
                return _frozen(plain, kw_only=kw_only)
            return dataclasses.dataclass(frozen=frozen, slots=slots, kw_only=kw_only, eq=eq)(plain)

        return make if cls is None else make(cls)


def _frozen(plain: type, *, kw_only: bool) -> type:
    own = {name for name in ("__repr__", "__eq__", "__hash__") if name in plain.__dict__}
    if not plain.__doc__:
        plain.__doc__ = plain.__name__  # the standard library would ask `inspect` for the signature
    inherits = any(dataclasses.is_dataclass(base) for base in plain.__mro__[1:])  # then it has to be said beforehand
    make = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only, frozen=inherits)
    made: Any = make(plain)
    made.__dataclass_params__.frozen = True  # else frozen classes could not inherit from it
    made.__init__ = _init(made, dataclasses.fields(made))
    methods = (_repr, _eq, _hash, _setattr, _delattr, _getstate, _setstate)
    for name, method in zip(_NAMES, methods, strict=True):
        if name not in own:
            setattr(made, name, method)
    result: type = made
    return result


_NAMES = ("__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__")


def _init(cls: type, fields: Sequence[Field[Any]]) -> Callable[..., None]:
    """Return `__init__`: it sets the slots directly, as nothing else may."""
    known: dict[str, Any] = {"_missing": MISSING}
    parameters, body = ["self"], []
    for field in sorted(fields, key=lambda field: bool(field.kw_only)):
        name = field.name
        if field.kw_only and "*" not in parameters:
            parameters.append("*")
        known[f"_set_{name}"] = getattr(cls, name).__set__
        value = name
        if field.default is not MISSING:
            known[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        elif field.default_factory is not MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            parameters.append(name)
        body.append(f" _set_{name}(self, {value})")
    source = "\n".join([f"def __init__({', '.join(parameters)}):", *(body or [" pass"])])
    exec(source, known)  # noqa: S102 - names of fields, which Python has checked; as the standard library does
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _values(this: Any) -> tuple[Any, ...]:
    return tuple([getattr(this, name) for name, field in this.__dataclass_fields__.items() if field.compare])


def _repr(self: Any) -> str:
    told = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({', '.join(told)})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _setattr(_self: Any, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: Sequence[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
