"""The door to the machine: what it is asked, and how.

Doors and facts by name, lazy (PEP 562): `from kubedoctor import host` costs nothing, and a module is imported when one
of its names is first used. Doors raise the FactErrors of `kubedoctor.facts`, never OSError.
"""

from __future__ import annotations

from importlib import import_module

_HOME: dict[str, str] = {
    # name: module of kubedoctor.host, one a line
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kubedoctor.host.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(_HOME)
