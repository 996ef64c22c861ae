"""What a plugin is, and what it hands over: taken with care, so that a mistake is named where it was made."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kubedoctor.components import (
    Candidate,
    Component,
    Components,
    Download,
    FlagValue,
    Found,
    GoBuild,
    Source,
    SourceBuild,
)
from kubedoctor.errors import KubedoctorError, PluginError
from kubedoctor.jsonform import from_json, to_json
from kubedoctor.records import dataclass

OURS = "kubedoctor"
"""The distribution of the bundled plugins."""

_SOURCES = list(Source)
_T = TypeVar("_T")


def _owner(name: str, distribution: str, version: str) -> str:
    return f"{name} ({distribution} {version})" if distribution else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin that was loaded. `seconds` is what importing and registering it took."""

    name: str
    distribution: str
    version: str
    module: object
    hooks: tuple[str, ...]
    seconds: float

    @property
    def owner(self) -> str:
        """The plugin with where it comes from, as in `acme (acme-kubedoctor 0.3)`."""
        return _owner(self.name, self.distribution, self.version)

    @property
    def origin(self) -> str:
        """What is said of a value this plugin set: `plugin etcd`, with the distribution when it is not our own."""
        return f"plugin {self.name}" if self.distribution == OURS else f"plugin {self.owner}"

    def owns(self, file: Path) -> bool:
        """Return whether *file* is part of this plugin's code."""
        name = self.module.__name__ if inspect.ismodule(self.module) else type(self.module).__module__
        top = sys.modules.get(name.partition(".")[0])
        own = sys.modules.get(name)
        # A namespace package has no file and may be shared by many distributions: then only the module's folder counts.
        package = top if getattr(top, "__file__", None) else own
        source = getattr(package, "__file__", None)
        if source is None:
            return False
        return file.is_relative_to(Path(source).parent) if hasattr(package, "__path__") else file == Path(source)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginProblem:
    """Why a plugin, or a part of it, is left out."""

    name: str
    distribution: str
    version: str
    message: str

    @property
    def owner(self) -> str:
        """The plugin with where it comes from, as in `acme (acme-kubedoctor 0.3)`."""
        return _owner(self.name, self.distribution, self.version)


def items(
    plugin: Plugin,
    hook: str,
    kind: type[_T] | tuple[type[_T], ...],
    call: Callable[..., Any],
    **arguments: object,
) -> list[_T]:
    """Return what a hook gives, as a list of *kind*; raise PluginError for anything else it gives or raises."""
    with naming(plugin, hook):
        result = call(**arguments)
        if result is None or isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
            raise TypeError(f"returned {type(result).__name__}, not a list")
        with nothing_on_stdout():
            items = list(result)  # a generator runs here
        for item in items:
            if not isinstance(item, kind):
                wanted = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
                raise TypeError(f"returned a list with {type(item).__name__} in it, not {wanted}")
    return items


@contextlib.contextmanager
def naming(plugin: Plugin, hook: str) -> Iterator[None]:
    """Turn what a plugin raises into a PluginError; what it says to the user with a KubedoctorError stays as it is."""
    try:
        yield
    except KubedoctorError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(plugin, f"{hook} failed: {reason_of(error)}") from error


def failure(plugin: Plugin, message: str) -> PluginError:
    """Return the error for what a plugin did wrong, with the way to do without it."""
    return PluginError(f"plugin {plugin.owner}: {message}", hint=f"leave the plugin out with --no-plugin {plugin.name}")


def reason_of(error: BaseException) -> str:
    """Return the exception's type and message on one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def check_shape(plugin: Plugin, item: object, *, key: str | None = None) -> None:
    """Raise PluginError for data of a wrong shape, which would fail far from the plugin that made it."""
    if key is not None and not isinstance(item, Component):
        raise failure(plugin, f"kubedoctor_modify_components left {type(item).__name__} as component `{key}`")
    try:
        from_json(type(item), to_json(item))
    except (TypeError, ValueError) as error:
        raise failure(plugin, f"{getattr(item, 'name', '')}: {error}".removeprefix(": ")) from None
    if isinstance(item, Component):
        if key is not None and item.name != key:
            raise failure(plugin, f"kubedoctor_modify_components left component `{item.name}` under the name `{key}`")
        for flag in item.flags:
            if not flag or flag.startswith("-") or "=" in flag:
                raise failure(
                    plugin, f"{item.name}: `{flag}` is not a flag's name, which has no dashes before it and no `=`"
                )


@dataclass(frozen=True, slots=True)
class Seen:
    """A component whose shape has been checked, with copies of what can be changed in place."""

    component: Component
    mappings: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, component: Component) -> Seen:
        """Return *component* as it is now."""
        return cls(component, cls._mappings(component))

    def is_still(self, component: object) -> bool:
        """Return whether *component* is this very one, unchanged."""
        return component is self.component and self._mappings(self.component) == self.mappings

    @staticmethod
    def _mappings(component: Component) -> tuple[dict[str, Any], ...]:
        return (dict(component.flags), dict(component.env), dict(component.links))


def origins_after(
    origins: Mapping[tuple[str, str], str],
    before: Mapping[str, Mapping[str, FlagValue]],
    components: Components,
    origin: str,
) -> dict[tuple[str, str], str]:
    """Return the origins of all flags after a plugin changed the components it found as *before*."""

    def is_unchanged(name: str, flag: str, value: FlagValue) -> bool:
        old = before.get(name, {})
        return flag in old and old[flag] == value and type(old[flag]) is type(value)  # True == 1, and is another flag

    return {
        (name, flag): origins[name, flag] if is_unchanged(name, flag, value) else origin
        for name, component in components.items()
        for flag, value in component.flags.items()
    }


def rank_of_source(candidate: Candidate) -> int:
    """Return where *candidate* stands in the order of `Source`."""
    match candidate:
        case Found():
            return _SOURCES.index(candidate.source)
        case Download():
            return _SOURCES.index(Source.DOWNLOAD)
        case GoBuild() | SourceBuild():
            return _SOURCES.index(Source.BUILD)


def nothing_on_stdout() -> contextlib.AbstractContextManager[object]:
    """Return a context in which `print` writes to stderr: a plugin's words must not get into our `-o json`."""
    return contextlib.redirect_stdout(sys.stderr)
