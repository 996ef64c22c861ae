"""acme's greeter, run beside a local Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from acme_kubedoctor import component, manifests
from kubedoctor import Candidate, Check, ClusterConfig, Component, Components, Fact, Manifest, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def kubedoctor_components(config: ClusterConfig) -> Iterable[Component]:
    """Return the greeter."""
    return [component.greeter(config)]


@hookimpl
def kubedoctor_modify_components(components: Components) -> None:
    """Keep events for two hours: the greeter reads them."""
    if "kube-apiserver" in components:  # it may run elsewhere
        components["kube-apiserver"] = components["kube-apiserver"].with_flags({"event-ttl": "2h0m0s"})


@hookimpl
def kubedoctor_binaries(name: str) -> Iterable[Candidate]:
    """Return the greeter that was installed with this package."""
    return component.candidates(name)


@hookimpl
def kubedoctor_manifests() -> Iterable[Manifest]:
    """Return the greeter's namespace and configuration."""
    return [manifests.GREETER]


@hookimpl
def kubedoctor_facts() -> Iterable[Fact[..., Any]]:
    """Return what the greeter is known by."""
    from acme_kubedoctor.checks import FACTS

    return FACTS


@hookimpl
def kubedoctor_checks() -> Iterable[Check]:
    """Return what can be wrong with the greeter."""
    from acme_kubedoctor.checks import CHECKS

    return CHECKS


@hookimpl
def kubedoctor_commands() -> Iterable[click.Command]:
    """Return `kubedoctor acme`."""
    from acme_kubedoctor.commands import acme  # only when it is asked for: click takes its time to import

    return [acme]
