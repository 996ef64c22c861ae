"""From what was said of one option, on the command line or in a variable, to settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field
from functools import cache
from pathlib import Path
from typing import Any

from kubedoctor.config import options
from kubedoctor.configuration import wishes
from kubedoctor.configuration.values import PATHS, Key, Layer, absolute, at, dashed, from_text, items, shown
from kubedoctor.errors import ConfigError

BY_COMMA = {"feature_gates", "json_logs", "v", "ports"}
"""Mappings whose items never hold a comma; the others are separated by spaces in a variable, quoted as in a shell."""


@cache
def port_fields() -> Mapping[str, str]:
    """Return the option that holds the outside port of a component, by component."""
    return {field.metadata["port_of"]: name for name, field in options().items() if field.metadata["port_of"]}


def is_mapping(field: Field[Any]) -> bool:
    """Return whether an option has several parts that layers set one by one."""
    return str(field.type).startswith("Mapping") or field.name == "json_logs"


def put_text(layer: Layer, name: str, text: str, origin: str, base: Path) -> None:
    """Add what *text*, the value of a variable, says of the option *name*."""
    if not is_mapping(options()[name]):
        put_scalar(layer, name, text, origin, base)
        return
    put_items(layer, name, _separate(name, text, origin), origin, base)


def put_given(layer: Layer, name: str, given: object, origin: str, base: Path) -> None:
    """Add what was given for the option *name* on the command line: a text, several, or a value of its type."""
    field = options()[name]
    texts = [given] if isinstance(given, str) else given
    if is_mapping(field):
        if not isinstance(texts, (list, tuple)):
            raise TypeError(f"{name}: expected texts, found {given!r}")
        split = [part for text in texts for part in (items(text) if name in BY_COMMA else (text,))]
        put_items(layer, name, split, origin, base)
    elif field.type == "tuple[str, ...]":
        if not isinstance(texts, (list, tuple)):
            raise TypeError(f"{name}: expected texts, found {given!r}")
        parts = (part for text in texts for part in items(text))
        if is_paths(field):
            parts = (absolute(part, base) for part in parts)
        layer.put((name,), tuple(parts), origin)
    elif isinstance(given, str):
        put_scalar(layer, name, given, origin, base)
    else:
        layer.put((name,), given, origin)


def put_scalar(layer: Layer, name: str, text: str, origin: str, base: Path) -> None:
    """Add the value that *text* spells for an option without parts."""
    try:
        value = from_text(options()[name], text, base)
    except ConfigError as problem:
        raise at(origin, problem) from None
    layer.put((name,), value, origin)


def put_items(layer: Layer, name: str, texts: Iterable[str], origin: str, base: Path) -> None:
    """Add the parts of a mapping that *texts* spell; the origin of one given on the command line names its part."""
    for text in texts:
        try:
            key, value = leaf(name, text, base)
        except ConfigError as problem:
            raise at(origin, problem) from None
        if key[0] == "vmodule" and key in layer.settings:  # `--vmodule C=a=1 --vmodule C=b=2` means both
            value = f"{layer.settings[key].value},{value}"
        layer.put(key, value, f"{origin} {_target(name, key, text)}" if origin.startswith("--") else origin)


def _target(name: str, key: Key, text: str) -> str:
    return ".".join(key[1:]) if key[0] == name else text.partition("=")[0]


def leaf(name: str, text: str, base: Path) -> tuple[Key, object]:
    """Return what one item of a mapping says; raise ConfigError, without its place, when it is not of the form."""
    if name in PATH_ITEMS:
        part, path = PATH_ITEMS[name](text, base)
        return (name, part), path
    return ITEMS[name](text)


def _set_leaf(text: str) -> tuple[Key, object]:
    flag = wishes.parse_set(text)
    if flag.flag == "port" and flag.component in port_fields():  # none of them has a flag of that name
        return (port_fields()[flag.component],), wishes.port(str(flag.value))
    return ("set", flag.component, flag.flag), flag.value


def _env_leaf(text: str) -> tuple[Key, object]:
    component, variable, value = wishes.parse_env(text)
    return ("env", component, variable), value


def _level_leaf(text: str) -> tuple[Key, object]:
    component, level = wishes.parse_level(text)
    return ("v", component) if component else ("log_level",), level


def _vmodule_leaf(text: str) -> tuple[Key, object]:
    component, pattern = wishes.parse_vmodule(text)
    return ("vmodule", component), pattern


def _json_leaf(text: str) -> tuple[Key, object]:
    component, wanted = wishes.parse_json_logs(text)
    return ("json_logs", component), wanted


def _gate_leaf(text: str) -> tuple[Key, object]:
    gate, state = wishes.parse_gate(text)
    return ("feature_gates", gate), state


def port_leaf(component: str, port_name: str, value: int) -> tuple[Key, int]:
    """Return where the outside port of a component belongs: its own option, if it has one, or `ports`."""
    if not port_name and component in port_fields():
        return (port_fields()[component],), value
    return ("ports", f"{component}.{port_name}" if port_name else component), value


ITEMS: Mapping[str, Callable[[str], tuple[Key, object]]] = {
    "set": _set_leaf,
    "env": _env_leaf,
    "v": _level_leaf,
    "vmodule": _vmodule_leaf,
    "json_logs": _json_leaf,
    "feature_gates": _gate_leaf,
    "ports": lambda text: port_leaf(*wishes.parse_port(text)),
}
PATH_ITEMS = {"binary": wishes.parse_binary, "authority": wishes.parse_authority}


def flag_layer(flags: Mapping[str, object], base: Path) -> Layer:
    """Return what the command line says; options that were not given are absent, None or empty."""
    layer = Layer()
    for name, field in options().items():
        given = flags.get(name)
        if given is None or given == () or given == []:
            continue
        put_given(layer, name, given, flag_origin(field, given), base)
    unknown = flags.keys() - options().keys()
    if unknown:
        raise TypeError(f"no options: {', '.join(sorted(unknown))}")
    return layer


def flag_origin(field: Field[Any], given: object) -> str:
    """Return an option as the user typed it: `--no-node` for node=False."""
    flag = str(field.metadata["flag"])
    on, _, off = flag.partition("/")
    if given is False:
        return off or f"--no-{dashed(field.name)}"
    return on if on and on != "-" else f"--{dashed(field.name)}"


def _separate(name: str, text: str, origin: str) -> tuple[str, ...]:
    if name in BY_COMMA:
        return items(text)
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ConfigError(f"{origin}: a quote is not closed in {shown(text)}") from None


def is_path(field: Field[Any]) -> bool:
    """Return whether the value of an option is one path."""
    return field.type == "str" and field.metadata["form"] in PATHS


def is_paths(field: Field[Any]) -> bool:
    """Return whether the value of an option is a list of paths."""
    return field.type == "tuple[str, ...]" and field.metadata["form"] in PATHS
