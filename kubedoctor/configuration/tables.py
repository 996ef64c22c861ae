"""What the tables of a configuration file mean: data as tomllib returns it becomes a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field
from pathlib import Path
from typing import Any

from kubedoctor.components import FlagValue
from kubedoctor.config import options
from kubedoctor.configuration import wishes
from kubedoctor.configuration.options import is_mapping, is_path, port_leaf
from kubedoctor.configuration.values import PATHS, Key, Layer, absolute, at, closest, dashed, one_line, plain, shown
from kubedoctor.errors import ConfigError
from kubedoctor.options import Form

COMPONENT_KEYS = ("flags", "without-flags", "env", "v", "vmodule", "json-logs", "binary", "port", "ports")


def file_layer(data: Mapping[str, Any], file: str, base: Path, cluster: str) -> Layer:
    """Return what the file says for *cluster*: its `[cluster.NAME]` table over the rest.

    *file* is its name in origins and messages; relative paths are taken from *base*, its directory. The tables of other
    clusters are read too, so that a mistake in them is found at once.
    """
    reader = _Reader(file, base)
    reader.read({key: value for key, value in data.items() if key != "cluster"}, "")
    for name, table in reader.entries(data.get("cluster", {}), "cluster", wishes.component_name):
        overlay = _Reader(file, base)
        overlay.read(table, f"cluster.{name}.")
        if name == cluster:
            reader.layer.settings.update(overlay.layer.settings)
    return reader.layer


class _Reader:
    """Reads tables into a layer; every message and every origin names the key."""

    def __init__(self, file: str, base: Path) -> None:
        self.file = file
        self.base = base
        self.layer = Layer()

    def read(self, data: Mapping[str, Any], prefix: str) -> None:
        """Read the top of the file, or, with a *prefix*, one cluster's table."""
        scalars = {dashed(name): field for name, field in options().items() if not is_mapping(field)}
        tables: dict[str, Callable[[str, Any], None]] = {
            "component": self.components,
            "feature-gates": self.feature_gates,
            "binary": self.binaries,
            "authority": self.authorities,
            "plugin": self.plugins,
        }
        for key, value in data.items():
            where = prefix + key
            if key in tables:
                tables[key](where, value)
            elif key in scalars and not (prefix and key == "name"):
                with self.at(where):
                    self.put((scalars[key].name,), where, scalar(scalars[key], value, self.base))
            else:
                raise self.unknown(where, key, [*scalars, *tables, *([] if prefix else ["cluster"])])

    def components(self, where: str, value: Any) -> None:
        """Read `[component.NAME]` and the tables in it."""
        for name, table in self.entries(value, where, wishes.component_name):
            for key, item in table.items():
                with self.at(f"{where}.{name}.{key}"):
                    self.component(name, key, item, f"{where}.{name}.{key}")

    def component(self, name: str, key: str, value: Any, where: str) -> None:
        """Read one key of a component."""
        plain_keys: dict[str, tuple[str, Callable[[Any], object]]] = {
            "v": ("v", lambda level: wishes.log_level(str(whole(level)))),
            "vmodule": ("vmodule", lambda pattern: wishes.vmodule(text(pattern))),
            "json-logs": ("json_logs", truth),
            "binary": ("binary", lambda path: absolute(text(path), self.base)),
        }
        if key in plain_keys:
            field, read = plain_keys[key]
            self.put((field, name), where, read(value))
        elif key == "flags":
            for flag, item in self.items(value, where, wishes.flag_name):
                self.put(("set", name, flag), f"{where}.{flag}", flag_value(item))
        elif key == "without-flags":
            for flag in texts(value):
                self.put(("set", name, wishes.flag_name(flag)), where, None)
        elif key == "env":
            for variable, item in self.items(value, where, wishes.variable_name):
                self.put(("env", name, variable), f"{where}.{variable}", text(item))
        elif key in ("port", "ports"):
            self.ports(name, value, where)
        else:
            raise self.unknown(where, key, COMPONENT_KEYS)

    def ports(self, component: str, value: Any, where: str) -> None:
        """Read the outside port of a component, or a table of them by name."""
        named = isinstance(value, dict)
        for name, item in self.items(value, where, wishes.port_name) if named else [("", value)]:
            key, number = port_leaf(component, name, wishes.valid_port(whole(item)))
            self.put(key, f"{where}.{name}" if name else where, number)

    def feature_gates(self, where: str, value: Any) -> None:
        """Read `[feature-gates]`: a table of true and false, or the text that binaries take."""
        with self.at(where):
            if isinstance(value, str):
                for gate, state in (wishes.parse_gate(item) for item in value.split(",") if item.strip()):
                    self.put(("feature_gates", gate), where, state)
                return
        for gate, item in self.items(value, where, wishes.gate_name):
            with self.at(f"{where}.{gate}"):
                self.put(("feature_gates", gate), f"{where}.{gate}", str(truth(item)).lower())

    def binaries(self, where: str, value: Any) -> None:
        """Read `[binary]`: a path for each component."""
        for name, item in self.items(value, where, wishes.component_name):
            with self.at(f"{where}.{name}"):
                self.put(("binary", name), f"{where}.{name}", absolute(text(item), self.base))

    def authorities(self, where: str, value: Any) -> None:
        """Read `[authority]`: "CERT,KEY" for each role."""
        for role, item in self.items(value, where, wishes.authority_role):
            with self.at(f"{where}.{role}"):
                self.put(("authority", role), f"{where}.{role}", wishes.authority_files(text(item), self.base))

    def plugins(self, where: str, value: Any) -> None:
        """Read `[plugin.NAME]`: whatever it holds is the plugin's to understand."""
        for name, table in self.entries(value, where, str):
            for key, item in table.items():
                self.put(("plugin", name, key), f"{where}.{name}.{key}", item)

    def entries(self, value: Any, where: str, check: Callable[[str], str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the named tables of a table."""
        for name, table in self.items(value, where, check):
            with self.at(f"{where}.{name}"):
                yield name, mapping(table)

    def items(self, value: Any, where: str, check: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
        """Yield name and value of each key of a table."""
        with self.at(where):
            named = [(check(name), item) for name, item in mapping(value).items()]
        yield from named

    def put(self, key: Key, where: str, value: object) -> None:
        """Add a setting that stands at *where*."""
        self.layer.put(key, value, f"file {self.file}: {one_line(where)}")

    def unknown(self, where: str, key: str, known: Iterable[str]) -> ConfigError:
        """Return the error for a key nobody reads, with the one that was meant."""
        if key.replace("-", "_") in options() and is_mapping(options()[key.replace("-", "_")]):
            hint = "it belongs to a component: [component.NAME]"
        else:
            meant = closest(key, known)
            hint = f"did you mean `{meant}`?" if meant else "`kubedoctor config --all` lists what can be set"
        return _PlacedError(f"{self.file}: unknown key {shown(where)}", hint=hint)

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Put file and key in front of what goes wrong."""
        try:
            yield
        except _PlacedError:
            raise
        except ConfigError as problem:
            placed = at(f"{self.file}: {one_line(where)}", problem)
            raise _PlacedError(placed.message, hint=placed.hint) from None


class _PlacedError(ConfigError):
    """Names file and key already."""


# --- values as tomllib returns them -----------------------------------------------------------------------------------


def scalar(field: Field[Any], value: Any, base: Path) -> object:
    """Return the value of an option without parts; raise ConfigError when TOML's type is not the option's."""
    match field.type:
        case "bool":
            return truth(value)
        case "int" | "int | None":
            number = whole(value)
            return wishes.valid_port(number) if field.metadata["form"] is Form.PORT else number
        case "float":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise expected("a number", value)
            return float(value)
        case "tuple[str, ...]":
            found = texts(value)
            return tuple(absolute(item, base) for item in found) if field.metadata["form"] in PATHS else found
        case _:
            return absolute(text(value), base) if is_path(field) else text(value)


def truth(value: Any) -> bool:
    """Return *value* if it is true or false."""
    if not isinstance(value, bool):
        raise expected("true or false, without quotes", value)
    return value


def whole(value: Any) -> int:
    """Return *value* if it is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise expected("a whole number, without quotes", value)
    return value


def text(value: Any) -> str:
    """Return *value* if it is a string."""
    if not isinstance(value, str):
        raise expected("a text in quotes", value)
    return plain(value)


def texts(value: Any) -> tuple[str, ...]:
    """Return *value* if it is a list of strings."""
    if not isinstance(value, list):
        raise expected("a list of texts", value)
    return tuple(text(item) for item in value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return *value* if it is a table."""
    if not isinstance(value, dict):
        raise expected("a table", value)
    return value


def flag_value(value: Any) -> FlagValue:
    """Return what a flag is given: a list is joined with commas, as Kubernetes' list flags want it."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return ",".join(texts(value))
    return value if isinstance(value, (bool, int)) else text(value)


def expected(what: str, value: Any) -> ConfigError:
    """Return the error for a value of another type."""
    found = {"dict": "a table", "list": "a list"}.get(type(value).__name__) or shown(value)
    return ConfigError(f"expected {what}, found {found}")
