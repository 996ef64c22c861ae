"""Finds the plugins, keeps a sick one from doing harm, and asks the rest: one typed method per hook.

pluggy's own loader drops a second plugin of the same name without a word, and dies of the first that cannot be
imported. A doctor must not, so the loop is ours; pluggy marks the hooks and checks their signatures.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from kubedoctor import hookspecs
from kubedoctor.checks import Check
from kubedoctor.components import Candidate, Component, Components, Download, Found, GoBuild, Manifest, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.contributions import (
    OURS,
    Plugin,
    PluginProblem,
    Seen,
    check_shape,
    failure,
    items,
    naming,
    nothing_on_stdout,
    origins_after,
    rank_of_source,
    reason_of,
)
from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.facts import Fact
from kubedoctor.offers import good_checks, good_facts
from kubedoctor.records import dataclass

T = TypeVar("T")

GROUP = hookspecs.PROJECT
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""A plugin's name is the prefix of its checks' ids."""

_PREFIX = "kubedoctor_"


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
        self._good: dict[str, list[Any]] = {}

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
            self.report(PluginProblem(name=name, distribution=distribution, version=version, message=message))

        if name in self._plugins:
            reject(f"left out: {self._plugins[name].owner} already has this name")
            return None
        if not NAME.fullmatch(name):
            reject("left out: the name must be lower-case words joined by `-`: it is the prefix of check ids")
            return None
        try:
            with nothing_on_stdout():
                module = load()
            self._hooks.register(module, name)
            self._hooks.check_pending()
            _refuse_wrappers(self._hooks, module)
        except (Exception, SystemExit) as error:  # a border: a sick plugin must not stop the doctor
            if self._hooks.has_plugin(name):
                self._hooks.unregister(name=name)  # pluggy keeps what failed validation
            reject(f"left out: {reason_of(error)}")
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
            for component in items(plugin, "kubedoctor_components", Component, call, config=config):
                if component.name in components:
                    other = makers[component.name].owner
                    raise failure(plugin, f"its component `{component.name}` is already one of {other}")
                check_shape(plugin, component)
                components[component.name] = component
                makers[component.name] = plugin
                origins |= {(component.name, flag): plugin.origin for flag in component.flags}
        for plugin, call in self._implementations("kubedoctor_modify_components"):
            before = {name: dict(component.flags) for name, component in components.items()}
            seen = {name: Seen.of(component) for name, component in components.items()}
            with naming(plugin, "kubedoctor_modify_components"):
                result = call(config=config, components=components)
            if result is not None:
                raise failure(
                    plugin,
                    "kubedoctor_modify_components has to edit the mapping it is given, "
                    f"but returned {type(result).__name__}",
                )
            for name, component in components.items():
                if name not in seen or not seen[name].is_still(component):  # to look at all of them takes 20 ms
                    check_shape(plugin, component, key=name)
            origins = origins_after(origins, before, components, plugin.origin)
        return Gathered(components=components, origins=origins)

    def manifests(self, config: ClusterConfig) -> list[Manifest]:
        """Return the manifests of all plugins, by plugin name; raise PluginError naming the plugin that failed."""
        found: dict[str, tuple[Plugin, Manifest]] = {}
        for plugin, call in self._implementations("kubedoctor_manifests"):
            for manifest in items(plugin, "kubedoctor_manifests", Manifest, call, config=config):
                if manifest.name in found:
                    other = found[manifest.name][0].owner
                    raise failure(plugin, f"its manifest `{manifest.name}` is already one of {other}")
                check_shape(plugin, manifest)
                found[manifest.name] = (plugin, manifest)
        return [manifest for _, manifest in found.values()]

    # --- what the command can do without: a failure drops the plugin's part and is reported ---------------------------

    def binaries(self, name: str, config: ClusterConfig) -> list[Candidate]:
        """Return where the binary *name* may come from, in the order of `Source`; within one by plugin name."""
        candidates: list[Candidate] = []
        for plugin, call in self._implementations("kubedoctor_binaries"):
            with self._reporting(plugin):
                kinds = (Found, Download, GoBuild, SourceBuild)
                found: list[Candidate] = items(plugin, "kubedoctor_binaries", kinds, call, name=name, config=config)
                for candidate in found:
                    check_shape(plugin, candidate)
                candidates += found
        return sorted(candidates, key=rank_of_source)

    def facts(self) -> list[Fact[Any, Any]]:
        """Return the facts of all plugins; those that cannot be used are reported and left out."""
        return self._offered("kubedoctor_facts", good_facts)

    def checks(self) -> list[Check]:
        """Return the checks of all plugins; those that cannot be used are reported and left out."""
        return self._offered("kubedoctor_checks", good_checks)

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
                    self.report(_problem(self._plugins[owner], f"{command!r} is not a click command"))
                elif name in commands:
                    self.report(_problem(self._plugins[owner], f"another plugin already has a command `{name}`"))
                else:
                    commands[name] = command
        return commands

    def owner_of(self, name: str) -> Plugin | None:
        """Return the plugin of a check or fact, which begins with the plugin's name; None for one of the core."""
        return self._plugins.get(name.partition(".")[0])

    def blame(self, name: str, message: str) -> None:
        """Keep what is wrong with a check or fact as a problem of its plugin; nothing is kept for one of the core."""
        plugin = self.owner_of(name)
        if plugin:
            self.report(_problem(plugin, f"{name}: {message}"))

    def collected(self, hook: str) -> dict[str, tuple[Any, ...]]:
        """Return what each plugin gives for a hook without arguments; asked once, then remembered."""
        if hook not in self._collected:
            given: dict[str, tuple[Any, ...]] = {}
            for plugin, call in self._implementations(hook):
                with self._reporting(plugin):
                    given[plugin.name] = tuple(items(plugin, hook, object, call))
            self._collected[hook] = given
        return self._collected[hook]

    # ------------------------------------------------------------------------------------------------------------------

    def _offered(self, hook: str, good: Callable[[str, Iterable[object], Callable[[str], None]], list[T]]) -> list[T]:
        if hook not in self._good:
            self._good[hook] = [
                one
                for name, offered in self.collected(hook).items()
                for one in good(name, offered, self._reporter(name))
            ]
        return list(self._good[hook])

    def _reporter(self, name: str) -> Callable[[str], None]:
        return lambda message: self.report(_problem(self._plugins[name], message))

    def _implementations(self, hook: str) -> Iterator[tuple[Plugin, Callable[..., Any]]]:
        caller: pluggy.HookCaller = getattr(self._hooks.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda one: one.plugin_name):
            yield self._plugins[implementation.plugin_name], _with_fewer_arguments(implementation)

    @contextlib.contextmanager
    def _reporting(self, plugin: Plugin) -> Iterator[None]:
        try:
            yield
        except KubedoctorError as error:
            self.report(_problem(plugin, error.message.removeprefix(f"plugin {plugin.owner}: ")))

    def report(self, problem: PluginProblem) -> None:
        """Keep what is wrong with a plugin, once, for whoever tells of it."""
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
    for absent in sorted(set(allow or ()) - names):
        manager.report(PluginProblem(name=absent, distribution="", version="", message="is not installed"))
    for point, distribution, version in ranked:
        if point.name not in blocked and (allow is None or point.name in allow):
            manager.add(point.name, point.load, distribution=distribution, version=version)
    return manager


def bundled_points() -> list[EntryPoint]:
    """Return the entry points of our own distribution."""
    found = _distributed(entry_points(group=GROUP))
    return [point for point, distribution, _ in found if distribution == OURS]


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
        with nothing_on_stdout():
            return implementation.function(*(arguments[name] for name in implementation.argnames))

    return call


def _problem(plugin: Plugin, message: str) -> PluginProblem:
    return PluginProblem(name=plugin.name, distribution=plugin.distribution, version=plugin.version, message=message)


def _flat(collected: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    return [item for items in collected.values() for item in items]
