"""The hooks a plugin may implement. They return data; only the core spawns, writes, signals, downloads and prints.

An implementation may ask for fewer arguments than the specification has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from kubedoctor.checks import Check
    from kubedoctor.components import Candidate, Component, Components, Manifest
    from kubedoctor.config import ClusterConfig
    from kubedoctor.facts import Fact

PROJECT = "kubedoctor"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return the programs this plugin contributes to a cluster.

    Called for every plan, `up --dry-run` and `status` included, so it must have no side effect. An exception aborts the
    command and names the plugin.
    """
    raise NotImplementedError


@hookspec
def kubedoctor_modify_components(config: ClusterConfig, components: Components) -> None:
    """Change, replace, add or delete components of any plugin, in place; called once, in the order of plugin names.

    What the user sets with `--set` is laid over the result, so the user always has the last word.
    """
    raise NotImplementedError


@hookspec
def kubedoctor_manifests(config: ClusterConfig) -> Iterable[Manifest]:
    """Return Kubernetes objects to be applied at every start, and what has to answer before the cluster is ready."""
    raise NotImplementedError


@hookspec
def kubedoctor_binaries(name: str, config: ClusterConfig) -> Iterable[Candidate]:
    """Return where the binary *name* may come from; the core tries the candidates in the order of `Source`.

    Return nothing for names this plugin does not know. An exception drops this plugin's candidates and is reported.
    """
    raise NotImplementedError


@hookspec
def kubedoctor_facts() -> Iterable[Fact[Any, Any]]:
    """Return new kinds of facts about a machine; their names start with the plugin's entry-point name.

    Checks may ask for facts that no hook returns. Of those that it does, the ones without arguments go into every
    recording, whether a check asks for them or not. Collected once.
    """
    raise NotImplementedError


@hookspec
def kubedoctor_checks() -> Iterable[Check]:
    """Return this plugin's checks. Their ids start with the plugin's entry-point name. Collected once."""
    raise NotImplementedError


@hookspec
def kubedoctor_signatures() -> Iterable[Any]:
    """Return patterns that recognise known failures in log lines. Collected once, at load time."""
    raise NotImplementedError


@hookspec
def kubedoctor_causes() -> Iterable[Any]:
    """Return rules that name the root of several findings. Collected once, at load time."""
    raise NotImplementedError


@hookspec
def kubedoctor_commands() -> Iterable[Any]:
    """Return click commands to be added to `kubedoctor`; asked for only when a command is not one of the core's."""
    raise NotImplementedError
