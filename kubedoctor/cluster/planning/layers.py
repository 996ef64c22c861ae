"""The user's last word on flags and environment, laid over what the plugins say, with the origin of each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from kubedoctor.cluster.planning.names import check_known
from kubedoctor.components import Component, FlagValue, Port
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """Components with what the user wants of single ones.

    `origins` tells for each component and flag the layer its value came from; `user_set` which flags the user set, each
    by itself: those are never left out in silence.
    """

    components: dict[str, Component]
    origins: dict[str, dict[str, str]] = field(default_factory=dict)
    user_set: dict[str, frozenset[str]] = field(default_factory=dict)


def lay_over(
    config: ClusterConfig,
    components: Mapping[str, Component],
    origins: Mapping[tuple[str, str], str],
    layers: Mapping[str, str],
) -> Layered:
    """Return *components* with the options for single ones applied.

    *origins* are those of the plugins' flags by component and flag, *layers* those of the user's settings by their name
    (`set.kube-apiserver.v`). A port that the user moves by the flag that sets it moves with its flag, so the probe asks
    where the component listens. Raise ConfigError for unknown components, and for logs wanted as JSON and by module.
    """
    named = (("--set", config.set), ("--env", config.env), ("--v", config.v), ("--vmodule", config.vmodule))
    for option, wishes_of in named:
        for name in wishes_of:
            check_known(name, components, option)
    for name in config.json_logs:
        check_known(name, components, "--json-logs")

    layered = Layered(components={})
    for name, component in components.items():
        wishes = _wishes(config, component, layers)
        merged = component.with_flags({flag: value for flag, (value, _) in wishes.items()})
        merged = replace(merged, ports=_moved_ports(component, merged)).with_env(config.env.get(name, {}))
        _check_logging(config, name, merged)
        layered.components[name] = merged
        layered.origins[name] = {
            **{flag: origins.get((name, flag), "") for flag in component.flags},
            **{flag: origin for flag, (_, origin) in wishes.items()},
        }
        layered.user_set[name] = frozenset(wishes)
    return layered


def canonical(flag: str) -> str:
    """Return a flag's one spelling: Kubernetes' programs take underscores for dashes as well."""
    return flag.lstrip("-").replace("_", "-")


def _wishes(config: ClusterConfig, component: Component, layers: Mapping[str, str]) -> dict[str, tuple[FlagValue, str]]:
    """Return what the user wants of this component's flags: value and origin; the later option has the last word."""
    name = component.name
    wishes: dict[str, tuple[FlagValue, str]] = {}
    if name in config.json_logs:
        # Which of the two it is called, the component itself tells by declaring it, with or without a value.
        flag = "log-format" if "log-format" in component.flags else "logging-format"
        wishes[flag] = ("json", layers.get(f"json_logs.{name}", "--json-logs"))
    if (name in config.v or name in config.vmodule) and "log-level" in component.flags and "v" not in component.flags:
        raise ConfigError(
            f"{name} has no log levels by number or by module", hint=f"use its own: --set {name}.log-level=debug"
        )
    if name in config.v:
        wishes["v"] = (config.v[name], layers.get(f"v.{name}", "--v"))
    if name in config.vmodule:
        wishes["vmodule"] = (config.vmodule[name], layers.get(f"vmodule.{name}", "--vmodule"))
    for flag, value in config.set.get(name, {}).items():
        wishes[canonical(flag)] = (value, layers.get(f"set.{name}.{flag}", "--set"))
    return wishes


def _check_logging(config: ClusterConfig, name: str, component: Component) -> None:
    if component.flags.get("logging-format") == "json" and component.flags.get("vmodule"):
        raise ConfigError(
            f"{name} cannot log JSON with --vmodule: it works with text logs only",
            hint=f"leave out one of the two, or raise the level of all its modules: --v {name}={config.log_level + 2}",
        )


def _moved_ports(before: Component, after: Component) -> tuple[Port, ...]:
    """Return the ports, those moved whose number was the value of a flag that has another number now."""
    moved: dict[int, int] = {}
    for flag, value in before.flags.items():
        old, new = _number(value), _number(after.flags.get(flag))
        if old and new and old != new:
            moved[old] = new
    return tuple(replace(port, inside=moved.get(port.inside, port.inside)) for port in before.ports)


def _number(value: FlagValue) -> int:
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else 0
