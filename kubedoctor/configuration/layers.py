"""The four layers: default < file < environment < flags. Precedence is decided here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubedoctor.config import ClusterConfig, options
from kubedoctor.configuration.checks import check_forms
from kubedoctor.configuration.conflicts import check_together
from kubedoctor.configuration.environment import environment_layer
from kubedoctor.configuration.options import flag_layer, is_mapping
from kubedoctor.configuration.ranges import settle_addresses
from kubedoctor.configuration.values import Key, Layer, Origins, Setting
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The settled configuration, where each value comes from, and what the user should be told once.

    `origins` has a key for every option (`api_port`) and for every part of a mapping (`set.kube-apiserver.v`,
    `feature_gates.Name`, `plugin.NAME.key`). `file` is the configuration file that was read.
    """

    config: ClusterConfig
    origins: Origins
    notes: tuple[str, ...] = ()
    file: Path | None = None


def load(
    flags: Mapping[str, object],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    home: Path | None = None,
) -> Resolved:
    """Return the configuration for a command: reads the file, takes the environment, lays *flags* over both.

    *flags* holds the options that were given, by field name, and `config`, the file that was named. *home* is the
    directory of all clusters' directories. Raise ConfigError, one line naming the layer, for whatever cannot be used.
    """
    env = os.environ if env is None else env
    cwd = Path.cwd() if cwd is None else cwd
    given = {name: value for name, value in flags.items() if name != "config"}
    from_flags = flag_layer(given, cwd)
    from_env = environment_layer(env, cwd)
    chosen = flags.get("config") or env.get("KUBEDOCTOR_CONFIG")
    from_file, file = _read(str(chosen or ""), from_env, from_flags, env, cwd)
    resolved = resolve(from_file, from_env, from_flags, home=home)
    return replace(resolved, file=file)


def resolve(file: Layer, env: Layer, flags: Layer, *, home: Path | None = None) -> Resolved:
    """Return what the layers come to, the highest that sets a value winning; nothing outside is looked at.

    Mappings are merged key by key. Raise ConfigError for values that cannot be used, alone or together.
    """
    merged: dict[Key, Setting] = {}
    for layer in (file, env, flags):
        merged.update(layer.settings)
    for setting in merged.values():
        if setting.problem is not None:
            raise setting.problem
    config = ClusterConfig(**_values(merged))
    origins = {name: "default" for name, field in options().items() if not is_mapping(field)}
    origins |= {".".join(key): setting.origin for key, setting in merged.items()}
    check_forms(config, origins)
    addresses = settle_addresses(config, origins)
    origins |= dict.fromkeys(addresses, f"default, from service-cluster-ip-range {config.service_cluster_ip_range}")
    config = replace(config, **addresses)  # type: ignore[arg-type]
    notes = (*file.notes, *env.notes, *flags.notes, *check_together(config, origins))
    directory = (home or Path()) / "clusters" / config.name
    return Resolved(config=replace(config, directory=directory), origins=origins, notes=notes)


def _values(merged: Mapping[Key, Setting]) -> dict[str, Any]:
    """Return the arguments of ClusterConfig: settings with longer keys become mappings."""
    values: dict[str, Any] = {}
    for key, setting in merged.items():
        place = values
        for part in key[:-1]:
            place = place.setdefault(part, {})
        place[key[-1]] = setting.value
    if "json_logs" in values:
        values["json_logs"] = tuple(component for component, wanted in values["json_logs"].items() if wanted)
    return values


def _read(
    chosen: str, from_env: Layer, from_flags: Layer, env: Mapping[str, str], cwd: Path
) -> tuple[Layer, Path | None]:
    from kubedoctor.configuration.file import find_file, read_file, shown_path

    path = find_file(chosen, env, cwd)
    if path is None:
        return Layer(), None
    from kubedoctor.configuration.tables import file_layer

    shown_as = shown_path(path, cwd)
    data = read_file(path, shown_as)
    name = next(
        (layer.settings["name",].value for layer in (from_flags, from_env) if ("name",) in layer.settings),
        data.get("name", options()["name"].default),
    )
    return file_layer(data, shown_as, path.parent, str(name)), path
