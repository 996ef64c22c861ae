"""The settings of a configuration one by one, spelt as the configuration file spells them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kubedoctor.config import options
from kubedoctor.configuration.options import is_mapping
from kubedoctor.records import dataclass

if TYPE_CHECKING:
    from kubedoctor.configuration.layers import Resolved

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting: its field, its key in the file, its value (None: not set, or a flag removed), where it was said."""

    field: str
    key: str
    value: object
    origin: str

    @property
    def toml(self) -> str:
        """The value as TOML spells it, `unset` for None."""
        return toml(self.value)


def entries(resolved: Resolved, *, everything: bool) -> Iterator[Entry]:
    """Yield the settings that are not by default, or *everything*, in the order of the table; mappings part by part."""
    fields = options()
    for name in (*fields, "plugin"):
        value = getattr(resolved.config, name)
        if name == "json_logs":
            value = dict.fromkeys(value, True)
        elif name == "feature_gates":
            value = {gate: state == "true" for gate, state in value.items()}
        whole = name in fields and not is_mapping(fields[name])
        for key, leaf in [((name,), value)] if whole else _leaves((name,), value):
            origin = resolved.origins[".".join(key)]
            if everything or not origin.startswith("default"):
                yield Entry(name, file_key(key), leaf, origin)


def file_key(key: Key) -> str:
    """Return where a setting stands in the file: `component.kube-apiserver.flags.v`."""
    tables = {"set": "flags", "env": "env", "v": "v", "vmodule": "vmodule", "json_logs": "json-logs"}
    name, *rest = key
    if name in tables:
        component, *leaf = rest
        return dotted("component", component, tables[name], *leaf)
    if name == "ports":
        component, _, port = rest[0].partition(".")
        return dotted("component", component, *(["ports", port] if port else ["port"]))
    return dotted(name.replace("_", "-"), *rest)


def _leaves(key: Key, value: object) -> list[tuple[Key, object]]:
    depth = {"set": 3, "env": 3, "plugin": 3}.get(key[0], 2)
    if len(key) == depth or not isinstance(value, Mapping):
        return [(key, value)]
    return [leaf for name, item in value.items() for leaf in _leaves((*key, name), item)]


def dotted(*parts: str) -> str:
    """Return a key of TOML, quoted where it has to be."""
    return ".".join(part if part.replace("-", "").replace("_", "").isalnum() else toml(part) for part in parts)


def toml(value: object) -> str:
    """Return a value in TOML; the strings of JSON are among TOML's basic strings."""
    import json

    if value is None:
        return "unset"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{dotted(str(name))} = {toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON lets stand as it is
    return str(value)  # numbers, and the times of a plugin's table
