"""Which option a plugin's flag follows: found by asking the plugins again without that option."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from kubedoctor.components import Component
from kubedoctor.config import ClusterConfig, options
from kubedoctor.errors import KubedoctorError

_DEFAULTS = ClusterConfig()

Gather = Callable[[ClusterConfig], Mapping[str, Component]]

NO_FLAGS = frozenset(
    {"name", "host", "set", "env", "v", "vmodule", "json_logs", "only", "without", "binary", "bin_dir"}
)
"""Options that no flag of a plugin follows, or that are laid over the plugins' flags with an origin of their own."""


def attribute(
    config: ClusterConfig,
    components: Mapping[str, Component],
    origins: Mapping[tuple[str, str], str],
    layers: Mapping[str, str],
    gather: Gather,
) -> dict[tuple[str, str], str]:
    """Return *origins* with the option's layer in place of the plugin, for flags that follow an option the user gave.

    *layers* holds the origin of every option by its name, `default…` for those not given. Plugins name no options: each
    option given is reset to its default, and what then differs followed it.
    """
    found = dict(origins)
    for name, layer in _given(layers).items():
        change: dict[str, Any] = {name: getattr(_DEFAULTS, name)}
        try:
            without = gather(dataclasses.replace(config, **change))
        except KubedoctorError:
            continue  # a plugin does not like the rest without this option; its flags keep the plugin as their origin
        for component in components.values():
            other = without.get(component.name)
            for flag, value in component.flags.items():
                if other is not None and other.flags.get(flag) != value:
                    found[component.name, flag] = layer
    return found


def _given(layers: Mapping[str, str]) -> dict[str, str]:
    """Return the options that were given, with their layer; of a mapping, the layer of its first part."""
    given: dict[str, str] = {}
    for key, layer in layers.items():
        name = key.partition(".")[0]
        if name in options() and name not in NO_FLAGS and not layer.startswith("default"):
            given.setdefault(name, layer)
    return given
