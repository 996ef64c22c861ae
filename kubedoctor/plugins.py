"""Finds the plugins, keeps a sick one from doing harm, and asks the rest: one typed method per hook.

pluggy's own loader drops a second plugin of the same name without a word, and dies of the first that cannot be imported.
A doctor must not, so the loop is ours; pluggy marks the hooks and checks their signatures.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from kubedoctor import hookspecs
from kubedoctor.components import (
    Candidate,
    Component,
    Components,
    Download,
    FlagValue,
    Found,
    GoBuild,
    Manifest,
    Source,
)
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError, PluginError, UsageError
from kubedoctor.jsonform import from_json, to_json

GROUP = hookspecs.PROJECT
OURS = "kubedoctor"  # the distribution of the bundled plugins
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""A plugin's name is the prefix of its checks' ids."""

_PREFIX = "kubedoctor_"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The components of all plugins; `origins` tells for each (component, flag) which plugin set it last."""

    components: Components
    origins: dict[tuple[str, str], str] = field(default_factory=dict)


class Manager:
    """The loaded plugins in the order of their names, and what is wrong with the others."""

    def __init__(self) -> None:
        self._hooks = pluggy.PluginManager(hookspecs.PROJECT)
        self._hooks.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self._problems: list[PluginProblem] = []
        self._collected: dict[str, dict[str, tuple[Any, ...]]] = {}

    @property
    def plugins(self) -> list[Plugin]:
        """The plugins that were loaded, by name."""
        return [self._plugins[name] for name in sorted(self._plugins)]

    @property
    def problems(self) -> list[PluginProblem]:
        """What had to be left out so far, and why."""
        return list(self._problems)

    # --- loading ------------------------------------------------------------------------------------------------------

    def add(self, name: str, load: Callable[[], object], *, distribution: str = "", version: str = "") -> Plugin | None:
        """Load one plugin; return None, and have one problem more, when it cannot be used."""
        begin = time.perf_counter()

        def reject(message: str) -> None:
            self._report(PluginProblem(name=name, distribution=distribution, version=version, message=message))

        if name in self._plugins:
            reject(f"left out: {self._plugins[name].owner} already has this name")
            return None
        if not NAME.fullmatch(name):
            reject("left out: the name must be lower-case words joined by `-`: it is the prefix of check ids")
            return None
        try:
            with _nothing_on_stdout():
                module = load()
            self._hooks.register(module, name)
            self._hooks.check_pending()
            _refuse_wrappers(self._hooks, module)
        except (Exception, SystemExit) as error:  # a border: a sick plugin must not stop the doctor
            if self._hooks.has_plugin(name):
                self._hooks.unregister(name=name)  # pluggy keeps what failed validation
            reject(f"left out: {_reason(error)}")
            return None
        hooks = tuple(sorted(caller.name for caller in self._hooks.get_hookcallers(module) or ()))
        plugin = Plugin(
            name=name,
            distribution=distribution,
            version=version,
            module=module,
            hooks=hooks,
            seconds=time.perf_counter() - begin,
        )
        self._plugins[name] = plugin
        for oversight in _unmarked(module, hooks):
            reject(oversight)
        return plugin

    # --- what `up` needs: a failure goes up, since a plan without the plugin would be another plan -------------------

    def components(self, config: ClusterConfig) -> Gathered:
        """Return what all plugins want to run; raise PluginError naming the plugin that failed."""
        components: Components = {}
        origins: dict[tuple[str, str], str] = {}
        makers: dict[str, Plugin] = {}
        for plugin, call in self._implementations("kubedoctor_components"):
            for component in _items(plugin, "kubedoctor_components", Component, call, config=config):
                if component.name in components:
                    other = makers[component.name].owner
                    raise _failure(plugin, f"its component `{component.name}` is already one of {other}")
                _check(plugin, component)
                components[component.name] = component
                makers[component.name] = plugin
                origins |= {(component.name, flag): plugin.origin for flag in component.flags}
        for plugin, call in self._implementations("kubedoctor_modify_components"):
            before = {name: dict(component.flags) for name, component in components.items()}
            with _naming(plugin, "kubedoctor_modify_components"):
                result = call(config=config, components=components)
            if result is not None:
                raise _failure(
                    plugin,
                    "kubedoctor_modify_components has to edit the mapping it is given, "
                    f"but returned {type(result).__name__}",
                )
            for name, component in components.items():
                _check(plugin, component, key=name)
            origins = _origins_after(origins, before, components, plugin.origin)
        return Gathered(components=components, origins=origins)

    def manifests(self, config: ClusterConfig) -> list[Manifest]:
        """Return the manifests of all plugins, by plugin name; raise PluginError naming the plugin that failed."""
        found: dict[str, tuple[Plugin, Manifest]] = {}
        for plugin, call in self._implementations("kubedoctor_manifests"):
            for manifest in _items(plugin, "kubedoctor_manifests", Manifest, call, config=config):
                if manifest.name in found:
                    other = found[manifest.name][0].owner
                    raise _failure(plugin, f"its manifest `{manifest.name}` is already one of {other}")
                _check(plugin, manifest)
                found[manifest.name] = (plugin, manifest)
        return [manifest for _, manifest in found.values()]

    # --- what the command can do without: a failure drops the plugin's part and is reported ---------------------------

    def binaries(self, name: str, config: ClusterConfig) -> list[Candidate]:
        """Return where the binary *name* may come from, in the order of `Source`; within one by plugin name."""
        candidates: list[Candidate] = []
        for plugin, call in self._implementations("kubedoctor_binaries"):
            with self._reporting(plugin):
                found: list[Candidate] = _items(
                    plugin, "kubedoctor_binaries", (Found, Download, GoBuild), call, name=name, config=config
                )
                for candidate in found:
                    _check(plugin, candidate)
                candidates += found
        return sorted(candidates, key=_rank_of_source)

    def facts(self) -> list[Any]:
        """Return how to gather the plugins' kinds of facts."""
        return _flat(self.collected("kubedoctor_facts"))

    def checks(self) -> list[Any]:
        """Return the checks of all plugins."""
        return _flat(self.collected("kubedoctor_checks"))

    def signatures(self) -> list[Any]:
        """Return the log signatures of all plugins."""
        return _flat(self.collected("kubedoctor_signatures"))

    def causes(self) -> list[Any]:
        """Return the rules that name causes, of all plugins."""
        return _flat(self.collected("kubedoctor_causes"))

    def commands(self) -> dict[str, Any]:
        """Return the click commands of all plugins, by name; the first plugin in order keeps a name."""
        commands: dict[str, Any] = {}
        for owner, contributed in self.collected("kubedoctor_commands").items():
            for command in contributed:
                name = getattr(command, "name", None)
                if not isinstance(name, str) or not hasattr(command, "make_context"):
                    self._report(_problem(self._plugins[owner], f"{command!r} is not a click command"))
                elif name in commands:
                    self._report(_problem(self._plugins[owner], f"another plugin already has a command `{name}`"))
                else:
                    commands[name] = command
        return commands

    def collected(self, hook: str) -> dict[str, tuple[Any, ...]]:
        """Return what each plugin gives for a hook without arguments; asked once, then remembered."""
        if hook not in self._collected:
            given: dict[str, tuple[Any, ...]] = {}
            for plugin, call in self._implementations(hook):
                with self._reporting(plugin):
                    given[plugin.name] = tuple(_items(plugin, hook, object, call))
            self._collected[hook] = given
        return self._collected[hook]

    # ------------------------------------------------------------------------------------------------------------------

    def _implementations(self, hook: str) -> Iterator[tuple[Plugin, Callable[..., Any]]]:
        caller: pluggy.HookCaller = getattr(self._hooks.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda one: one.plugin_name):
            yield self._plugins[implementation.plugin_name], _with_fewer_arguments(implementation)

    @contextlib.contextmanager
    def _reporting(self, plugin: Plugin) -> Iterator[None]:
        try:
            yield
        except KubedoctorError as error:
            self._report(_problem(plugin, error.message.removeprefix(f"plugin {plugin.owner}: ")))

    def _report(self, problem: PluginProblem) -> None:
        if problem not in self._problems:
            self._problems.append(problem)


def load(
    block: Iterable[str] = (), allow: Iterable[str] | None = None, *, points: Iterable[EntryPoint] | None = None
) -> Manager:
    """Load the plugins of this environment, without those in *block* and, unless it is None, only those in *allow*.

    Raise UsageError when *block* has a name that no plugin has, KubedoctorError when there is no plugin at all.
    """
    ranked = sorted(_distributed(entry_points(group=GROUP) if points is None else points), key=_rank)
    names = {point.name for point, _, _ in ranked}
    if not ranked:
        raise KubedoctorError(
            "no plugins found, not even the bundled ones", hint="install kubedoctor: pip install -e ."
        )
    blocked = set(block)
    for unknown in sorted(blocked - names):
        near = difflib.get_close_matches(unknown, names, n=1)
        raise UsageError(
            f"there is no plugin `{unknown}` to leave out",
            hint=f"did you mean `{near[0]}`?" if near else "kubedoctor plugins lists them",
        )
    manager = Manager()
    for point, distribution, version in ranked:
        if point.name not in blocked and (allow is None or point.name in allow):
            manager.add(point.name, point.load, distribution=distribution, version=version)
    return manager


def _distributed(points: Iterable[EntryPoint]) -> list[tuple[EntryPoint, str, str]]:
    known: dict[int, tuple[str, str]] = {}  # reading the metadata costs a millisecond a time
    result = []
    for point in points:
        distribution: Distribution | None = point.dist
        if distribution is None:
            result.append((point, "", ""))
            continue
        if id(distribution) not in known:
            known[id(distribution)] = (distribution.name, distribution.version)
        result.append((point, *known[id(distribution)]))
    return result


def _rank(found: tuple[EntryPoint, str, str]) -> tuple[str, bool, str]:
    point, distribution, _ = found
    return point.name, distribution != OURS, distribution  # who has a bundled plugin's name does not replace it


def _unmarked(module: object, hooks: tuple[str, ...]) -> Iterator[str]:
    specified = [name for name in vars(hookspecs) if name.startswith(_PREFIX)]
    for name in dir(module):
        if name.startswith(_PREFIX) and name not in hooks and inspect.isroutine(getattr(module, name, None)):
            near = difflib.get_close_matches(name, specified, n=1)
            meant = "" if name in specified or not near else f" (did you mean {near[0]}?)"
            yield f"{name} is not marked with @hookimpl, so it is never called{meant}"


def _refuse_wrappers(manager: pluggy.PluginManager, module: object) -> None:
    for caller in manager.get_hookcallers(module) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is module and (implementation.hookwrapper or implementation.wrapper):
                raise TypeError(f"{caller.name} is a hook wrapper; wrappers are not supported")


def _with_fewer_arguments(implementation: pluggy.HookImpl) -> Callable[..., Any]:
    """Return the function, callable with all arguments of the specification: it may have asked for fewer."""

    def call(**arguments: Any) -> Any:
        with _nothing_on_stdout():
            return implementation.function(*(arguments[name] for name in implementation.argnames))

    return call


def _nothing_on_stdout() -> contextlib.AbstractContextManager[object]:
    """What a plugin prints is not what was asked for: it must not get between the lines of `-o json`."""
    return contextlib.redirect_stdout(sys.stderr)


def _items(
    plugin: Plugin,
    hook: str,
    kind: type[_T] | tuple[type[_T], ...],
    call: Callable[..., Any],
    **arguments: object,
) -> list[_T]:
    with _naming(plugin, hook):
        result = call(**arguments)
        if result is None or isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
            raise TypeError(f"returned {type(result).__name__}, not a list")
        with _nothing_on_stdout():
            items = list(result)  # a generator runs here
        for item in items:
            if not isinstance(item, kind):
                wanted = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
                raise TypeError(f"returned a list with {type(item).__name__} in it, not {wanted}")
    return items


@contextlib.contextmanager
def _naming(plugin: Plugin, hook: str) -> Iterator[None]:
    """Turn what a plugin raises into a PluginError; what it says to the user with a KubedoctorError stays as it is."""
    try:
        yield
    except KubedoctorError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(plugin, f"{hook} failed: {_reason(error)}") from error


def _failure(plugin: Plugin, message: str) -> PluginError:
    return PluginError(f"plugin {plugin.owner}: {message}", hint=f"leave the plugin out with --no-plugin {plugin.name}")


def _problem(plugin: Plugin, message: str) -> PluginProblem:
    return PluginProblem(name=plugin.name, distribution=plugin.distribution, version=plugin.version, message=message)


def _reason(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _check(plugin: Plugin, item: object, *, key: str | None = None) -> None:
    """Raise PluginError for data of a wrong shape, which would fail far from the plugin that made it."""
    if key is not None and not isinstance(item, Component):
        raise _failure(plugin, f"kubedoctor_modify_components left {type(item).__name__} as component `{key}`")
    try:
        from_json(type(item), to_json(item))
    except (TypeError, ValueError) as error:
        raise _failure(plugin, f"{getattr(item, 'name', '')}: {error}".removeprefix(": ")) from None
    if isinstance(item, Component):
        if key is not None and item.name != key:
            raise _failure(plugin, f"kubedoctor_modify_components left component `{item.name}` under the name `{key}`")
        for flag in item.flags:
            if not flag or flag.startswith("-") or "=" in flag:
                raise _failure(
                    plugin, f"{item.name}: `{flag}` is not a flag's name, which has no dashes before it and no `=`"
                )


def _origins_after(
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


def _rank_of_source(candidate: Candidate) -> int:
    match candidate:
        case Found():
            return _SOURCES.index(candidate.source)
        case Download():
            return _SOURCES.index(Source.DOWNLOAD)
        case GoBuild():
            return _SOURCES.index(Source.BUILD)


def _flat(collected: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    return [item for items in collected.values() for item in items]
