"""What one layer says: settings by key, each with where it was said; and how a text becomes the value of an option."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, field
from pathlib import Path
from typing import Any

from kubedoctor.errors import ConfigError
from kubedoctor.options import Form
from kubedoctor.records import dataclass

Key = tuple[str, ...]
"""A field, or a field and the way to one leaf of its mapping: ("api_port",), ("set", "kube-apiserver", "v")."""

Origins = Mapping[str, str]
"""Where each setting comes from, by its key with dots: `api_port`, `set.kube-apiserver.v`."""

WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

PATHS = {Form.FILE, Form.PATH, Form.DIRECTORY}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it was said: `--api-port`, `environment API_SECURE_PORT`, `file kubedoctor.toml: api-port`.

    A value of the environment that cannot be read is kept as its `problem`: it matters only when nothing above sets the
    option, as variables of general names (LOG_LEVEL) may be meant for other programs.
    """

    value: object
    origin: str
    problem: ConfigError | None = None


@dataclass(slots=True)
class Layer:
    """Everything one layer says, and the notes that came up while it was read."""

    settings: dict[Key, Setting] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, key: Key, value: object, origin: str) -> None:
        """Add a setting; raise ConfigError when the layer says something else under another name."""
        before = self.settings.get(key)
        if before is not None and before.origin != origin and before.value != value:
            raise ConfigError(f"{origin} says {shown(value)}, {before.origin} says {shown(before.value)}")
        self.settings[key] = Setting(value, origin)


def dashed(name: str) -> str:
    """Return a field's name as files and flags spell it."""
    return name.replace("_", "-")


def shown(value: object) -> str:
    """Return a value as messages quote it: short, on one line, as TOML would spell it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = one_line(value)
        return f"`{text if len(text) <= 60 else text[:57] + '…'}`"
    return str(value)


def one_line(text: str) -> str:
    """Return *text* with `?` for what would break a line or drive a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def at(origin: str, problem: ConfigError) -> ConfigError:
    """Return *problem* with the place it was found at in front."""
    return ConfigError(f"{origin}: {problem.message}", hint=problem.hint)


def said(origins: Origins, name: str) -> str:
    """Return how messages name a setting: its origin, and the option too where that is not plain from it."""
    origin = origins.get(name, "default")
    return dashed(name) if origin.startswith("default") else origin


def from_text(option: Field[Any], text: str, base: Path) -> object:
    """Return the value of a scalar or list option that *text* spells; raise ConfigError, without its place, if none.

    Relative paths are taken from *base*.
    """
    form: Form = option.metadata["form"]
    text = text.strip() if form not in PATHS else text
    match option.type:
        case "bool":
            return boolean(text)
        case "int" | "int | None":
            return number(text, form)
        case "float":
            return seconds(text)
        case "tuple[str, ...]":
            return tuple(absolute(item, base) for item in items(text)) if form in PATHS else items(text)
        case _:
            return absolute(text, base) if form in PATHS else plain(text)


def boolean(text: str) -> bool:
    """Return what true/false, 1/0, yes/no or on/off means."""
    if text.lower() not in WORDS:
        raise ConfigError(f"expected true or false, found {shown(text)}")
    return WORDS[text.lower()]


def number(text: str, form: Form = Form.ANY) -> int:
    """Return a whole number, a port where *form* says so."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ConfigError(f"expected {'a port' if form is Form.PORT else 'a whole number'}, found {shown(text)}")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds; a trailing `s` is allowed."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?s?", text):
        raise ConfigError(f"expected seconds, found {shown(text)}")
    return float(text.removesuffix("s"))


def items(text: str) -> tuple[str, ...]:
    """Return what stands between the commas."""
    return tuple(item.strip() for item in plain(text).split(",") if item.strip())


def plain(text: str) -> str:
    """Return *text*; raise ConfigError when it holds a character that no argument or file name can carry."""
    if "\0" in text:
        raise ConfigError("holds a NUL character")
    return text


def absolute(text: str, base: Path) -> str:
    """Return a path with `~` expanded, seen from *base*, without `..`; "" stays."""
    return os.path.normpath(base / Path(plain(text)).expanduser()) if text else ""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word most like *word*, "" if none is."""
    candidates = list(known)
    if not candidates:
        return ""
    import difflib

    return next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=cutoff)), "")
