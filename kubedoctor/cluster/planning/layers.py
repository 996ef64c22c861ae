"""The user's last word on flags and environment, laid over what the plugins say, with the origin of each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kubedoctor.cluster.planning.names import check_known
from kubedoctor.components import Component, FlagValue, Port
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import ConfigError

Origins = dict[str, dict[str, str]]
"""Component, then flag, to the layer the flag's value came from."""

FLAG_OPTIONS = ("--set", "--v", "--vmodule", "--json-logs")
"""What sets a flag of one component; the beginning of its origin."""


def set_by_user(origin: str) -> bool:
    """Return whether *origin* is an option by which the user set just this flag."""
    return origin.partition(" ")[0] in FLAG_OPTIONS


def lay_over(
    config: ClusterConfig, components: Mapping[str, Component], origins: Mapping[tuple[str, str], str]
) -> tuple[dict[str, Component], Origins]:
    """Return *components* with what the user wants of single ones, and the origin of every flag.

    A port that the user moves by the flag that sets it moves with its flag, so the probe still asks where the component
    listens. Raise ConfigError for unknown components and for logs wanted both as JSON and by module.
    """
    for option, named in (
        ("--set", config.set),
        ("--env", config.env),
        ("--v", config.v),
        ("--vmodule", config.vmodule),
    ):
        for name in named:
            check_known(name, components, option)
    for name in config.json_logs:
        check_known(name, components, "--json-logs")

    changed: dict[str, Component] = {}
    settled: Origins = {}
    for name, component in components.items():
        wishes = _wishes(config, component)
        merged = component.with_flags({flag: value for flag, (value, _) in wishes.items()})
        merged = replace(merged, ports=_moved_ports(component, merged)).with_env(config.env.get(name, {}))
        _check_logging(config, name, merged)
        changed[name] = merged
        settled[name] = {
            **{flag: origins.get((name, flag), "") for flag in component.flags},
            **{flag: origin for flag, (_, origin) in wishes.items()},
        }
    return changed, settled


def canonical(flag: str) -> str:
    """Return a flag's one spelling: Kubernetes' programs take underscores for dashes as well."""
    return flag.lstrip("-").replace("_", "-")


def _wishes(config: ClusterConfig, component: Component) -> dict[str, tuple[FlagValue, str]]:
    """Return what the user wants of this component's flags: value and origin; the later option has the last word."""
    name = component.name
    wishes: dict[str, tuple[FlagValue, str]] = {}
    if name in config.json_logs:
        # Which of the two it is called, the component itself tells by declaring it, with or without a value.
        flag = "log-format" if "log-format" in component.flags else "logging-format"
        wishes[flag] = ("json", "--json-logs")
        if config.log_spec and "vmodule" in component.flags:
            raise ConfigError(
                f"{name} cannot log JSON while LOG_SPEC is set: --vmodule works with text logs only",
                hint=f"unset LOG_SPEC, or leave --json-logs {name} out",
            )
    if name in config.v:
        wishes["v"] = (config.v[name], "--v")
    if name in config.vmodule:
        wishes["vmodule"] = (config.vmodule[name], "--vmodule")
    for flag, value in config.set.get(name, {}).items():
        wishes[canonical(flag)] = (value, "--set")
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
