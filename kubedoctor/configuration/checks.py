"""Whether each settled value has the form its option asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kubedoctor.config import ClusterConfig, options
from kubedoctor.configuration import wishes
from kubedoctor.configuration.values import Origins, said, shown
from kubedoctor.errors import ConfigError
from kubedoctor.mirrors import parse_mirror
from kubedoctor.options import Form

CLUSTER_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
"""As kubedoctor.cluster.paths.NAME, which the configuration cannot import."""

DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(h|m|s|ms|us|µs|ns))+")


def check_forms(config: ClusterConfig, origins: Origins) -> None:
    """Raise ConfigError for the first value that does not have the form its option asks for."""
    for name, field in options().items():
        value = getattr(config, name)
        check = _NAMED.get(name) or _FORMS.get(field.metadata["form"])
        if check is not None and value not in ("", None, {}) and not isinstance(value, Mapping):
            _at(origins, name, check, value)
        if (choices := field.metadata["choices"]) and value and value not in choices:
            raise ConfigError(f"{said(origins, name)}: expected one of {', '.join(choices)}, found {shown(value)}")
        if parse := _ITEMS.get(name):
            for item in value:
                _at(origins, name, parse, item)


def require_files(config: ClusterConfig, origins: Origins) -> None:
    """Raise ConfigError for the first file or directory that was named and is not there."""
    for name, field in options().items():
        form, value = field.metadata["form"], getattr(config, name)
        if form not in (Form.FILE, Form.DIRECTORY) or not value:
            continue
        for key, path in _paths(value):
            place = said(origins, f"{name}.{key}" if key else name)
            if form is Form.DIRECTORY and not Path(path).is_dir():
                raise ConfigError(f"{place}: there is no directory {path}")
            if form is Form.FILE and not Path(path).is_file():
                what = f"{path} is not a file" if Path(path).exists() else f"there is no file {path}"
                raise ConfigError(f"{place}: {what}", hint="name a file that is there")


def _paths(value: Any) -> Iterable[tuple[str, str]]:
    """Return each path of an option, with the part of the option it belongs to."""
    if isinstance(value, Mapping):
        return value.items()
    return [("", path) for path in value] if isinstance(value, tuple) else [("", value)]


def _at(origins: Origins, name: str, check: Callable[[Any], object], value: object) -> None:
    try:
        check(value)
    except ConfigError as problem:
        raise ConfigError(f"{said(origins, name)}: {problem.message}", hint=problem.hint) from None


def _duration(text: str) -> None:
    if not DURATION.fullmatch(text):
        raise ConfigError(f"expected a duration such as 15s, found {shown(text)}")


def _url(text: str) -> None:
    if not re.fullmatch(r"(https?|file)://\S+", text):
        raise ConfigError(f"expected a URL, found {shown(text)}")


def _positive(value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"expected more than 0 seconds, found {value:g}")


def _cluster_name(text: str) -> None:
    if not CLUSTER_NAME.fullmatch(text):
        raise ConfigError(
            f"{shown(text)} cannot be a cluster's name",
            hint="use lower-case letters, digits and `-`, at most 40 of them",
        )


def _start_mode(text: str) -> None:
    """Refuse what local-up-cluster.sh, which looks for its modes anywhere in the text, would take for `all`."""
    modes = {mode.strip() for mode in text.split(",") if mode.strip()}
    if not (modes <= {"nokubelet", "nokubeproxy"} or modes in ({"all"}, {"kubeletonly"})):
        raise ConfigError(
            f"{shown(text)} is no start mode", hint="all, nokubelet, nokubeproxy, nokubelet,nokubeproxy, or kubeletonly"
        )


def _node_ports(text: str) -> None:
    match = re.fullmatch(r"([0-9]{1,5})(?:([-+])([0-9]{1,5}))?", text)
    if match is None:
        raise ConfigError(f"expected a range of ports such as 30000-32767, found {shown(text)}")
    first = int(match[1])
    last = {None: first, "-": int(match[3] or 0), "+": first + int(match[3] or 0)}[match[2]]
    if not 1 <= first <= last <= 65535:
        raise ConfigError(f"expected ports from 1 to 65535, the lower one first, found {shown(text)}")


_FORMS: Mapping[Form, Callable[[Any], object]] = {
    Form.PORT: wishes.valid_port,
    Form.ADDRESS: wishes.ip_address,
    Form.HOST: wishes.host,
    Form.URL: _url,
    Form.DURATION: _duration,
    Form.VMODULE: wishes.vmodule,
    Form.SECONDS: _positive,
    Form.LEVEL: lambda value: wishes.log_level(str(value)),
}
"""CIDR is not here: ranges are read where they are compared."""

_ITEMS: Mapping[str, Callable[[str], object]] = {
    "only": wishes.component_name,
    "without": wishes.component_name,
    "external": wishes.parse_external,
    "publish": wishes.parse_publish,
    "reach": wishes.parse_reach,
    "registry_mirror": parse_mirror,
}

_NAMED: Mapping[str, Callable[[str], object]] = {
    "name": _cluster_name,
    "node_port_range": _node_ports,
    "start_mode": _start_mode,
}
