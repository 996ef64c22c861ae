"""The configuration file: where it is found and how it is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubedoctor.configuration.values import absolute, one_line
from kubedoctor.errors import ConfigError
from kubedoctor.regular import open_regular

NAME = "kubedoctor.toml"
LIMIT = 1 << 20
"""Bytes of the largest file that is read; those that people write have a few hundred."""


def find_file(chosen: str, env: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the file to read: the *chosen* one, ./kubedoctor.toml, the user's, for root the machine's; None if none.

    Raise ConfigError for a ./kubedoctor.toml that somebody else could have put there: it names programs to be run.
    """
    if chosen:
        return Path(absolute(chosen, cwd))
    beside = cwd / NAME
    if beside.exists():
        _require_trust(beside, env)
        return beside
    own = Path(env.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kubedoctor" / "config.toml"
    places = [own, Path("/etc/kubedoctor/config.toml")] if os.geteuid() == 0 else [own]
    return next((place for place in places if place.exists()), None)


def read_file(path: Path, shown_as: str) -> dict[str, Any]:
    """Return what the file holds; raise ConfigError, one line, for whatever cannot be read or is not TOML."""
    import tomllib

    try:
        with open_regular(path) as stream:
            content = stream.read(LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {shown_as}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown_as} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LIMIT:
        raise ConfigError(f"{shown_as} is larger than 1 MiB: not a configuration file")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown_as} is not text in UTF-8 (line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown_as} is not TOML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{shown_as} is not TOML: brackets are nested too deep") from None


def shown_path(path: Path, cwd: Path) -> str:
    """Return a path as messages name it: relative when it is below *cwd*."""
    return one_line(str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path))


def _require_trust(path: Path, env: Mapping[str, str]) -> None:
    """Refuse a file found by chance that another user owns or all may write: in /tmp anybody can leave one."""
    found = path.stat()
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and env.get("SUDO_UID", "").isdecimal():
        trusted.add(int(env["SUDO_UID"]))
    problem = ""
    if found.st_uid not in trusted:
        problem = f"belongs to user {found.st_uid}"
    elif found.st_mode & 0o002:
        problem = "can be written by everybody"
    if problem:
        raise ConfigError(f"./{NAME} {problem}, so it is not read", hint=f"if you trust it: --config {NAME}")
