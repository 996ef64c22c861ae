"""What containerd's configuration files say of the CRI, of networks and of runtimes, as containerd understands them.

Version 1 has one table for each plugin, by its short name; version 2 by its URI; 3 splits the CRI's table; from 4 on
nothing of 2 counts any more. A containerd takes over older versions into its own, but a table that the version of its
file does not know is passed over in silence. Files named in `imports` are laid over the first in turn.
"""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import field
from fnmatch import fnmatchcase

from kubedoctor.facts import Absent, Look, Malformed, fact
from kubedoctor.host.cri import RuntimeHandler
from kubedoctor.host.documents import Value, at, mapping
from kubedoctor.host.errors import printable
from kubedoctor.host.files import list_directory, read_file
from kubedoctor.host.redaction import redacted
from kubedoctor.host.toml import parse_toml
from kubedoctor.records import dataclass

FILE = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"
OPT = "/opt/containerd"
"""Where containerd's `opt` plugin installs programs; its `bin` comes first in the PATH."""
CRI_PLUGINS = (
    "io.containerd.grpc.v1.cri",
    "io.containerd.cri.v1.runtime",
    "io.containerd.cri.v1.images",
)
"""Plugins without any of which no CRI is served (2.x); 1.x has the first only."""
SHORT = "cri"
"""The first one's name in a file of version 1. In a later one containerd ends because of it."""

_OPT = ("io.containerd.internal.v1.opt", "opt")
_OLD, _RUNTIME, _GRPC = CRI_PLUGINS[0], CRI_PLUGINS[1], "io.containerd.server.v1.grpc"
_LIMIT = 512 << 10
_FILES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdConfig:
    """What the files say together; empty or None where they say nothing, and containerd takes its default.

    `passed_over` are settings of the CRI that stand in a table this version of the file does not have.
    """

    version: int = 1
    files: tuple[str, ...] = ()  # in the order they are laid over each other
    address: str = ""  # of the socket
    disabled_plugins: tuple[str, ...] = ()  # as written
    disabled_in: Mapping[str, str] = field(default_factory=dict)  # the file that disables it first
    cni_bin_dirs: tuple[str, ...] = ()
    cni_conf_dir: str = ""
    cni_max_conf: int | None = None
    internal_loopback: bool = False
    default_handler: str = ""
    handlers: tuple[RuntimeHandler, ...] = ()
    opt_directory: str = ""
    passed_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[str, ...]:
        """The disabled plugins for whose names containerd refuses to start: short ones, but in version 1."""
        return tuple(one for one in self.disabled_plugins if "." not in one) if self.version > 1 else ()

    @property
    def disables_cri(self) -> tuple[str, ...]:
        """The disabled plugins without which no CRI is served."""
        names = {*CRI_PLUGINS, SHORT} if self.version <= 1 else {*CRI_PLUGINS}
        return tuple(one for one in self.disabled_plugins if one in names)


@fact("host.containerd-config")
def containerd_config(look: Look, path: str, root: int) -> ContainerdConfig:
    """What containerd's configuration file and those it imports say of the CRI, networks and runtimes.

    Raise Absent for the first file, or for one that is imported by its full name: containerd does not start then.
    """
    del look
    documents: dict[str, dict[str, Value]] = {}
    waiting = deque([path])
    while waiting:
        one = waiting.popleft()
        if one in documents:
            continue
        if len(documents) == _FILES:
            raise Malformed(f"{printable(path)} imports more than {_FILES} files")
        documents[one] = parse_toml(read_file(one, root=root, limit=_LIMIT), one)
        imports = _texts(documents[one].get("imports"))
        waiting += [found for pattern in imports for found in _resolved(pattern, one, root)]
    return understand(documents)


def understand(documents: Mapping[str, dict[str, Value]]) -> ContainerdConfig:
    """Return what these documents, by path and in the order they are laid over each other, say; raise Malformed."""
    runtime: Value = None
    address, opt = "", ""
    disabled, passed_over = dict[str, str](), dict[str, str]()
    try:
        for path, document in documents.items():
            version, plugins = _version(document), document.get("plugins")
            told = _merged(at(plugins, _RUNTIME), _old_table(plugins, version) if version < 4 else None)
            runtime = _merged(told, runtime)
            address = _text(at(plugins, _GRPC, "address")) or _text(at(document, "grpc", "address")) or address
            opt = next((found for name in _OPT if (found := _text(at(plugins, name, "path")))), opt)
            passed_over |= _passed_over(plugins, version)
            for plugin in _texts(document.get("disabled_plugins")):
                disabled.setdefault(plugin, path)
    except RecursionError:
        raise Malformed("containerd's configuration is nested deeper than any") from None
    cni, containerd = at(runtime, "cni"), at(runtime, "containerd")
    most = at(cni, "max_conf_num")
    return ContainerdConfig(
        version=max(map(_version, documents.values()), default=1),
        files=tuple(documents),
        address=address,
        disabled_plugins=tuple(disabled),
        disabled_in=disabled,
        cni_bin_dirs=_texts(at(cni, "bin_dirs")) or _texts([at(cni, "bin_dir")]),
        cni_conf_dir=_text(at(cni, "conf_dir")),
        cni_max_conf=most if isinstance(most, int) and not isinstance(most, bool) else None,
        internal_loopback=at(cni, "use_internal_loopback") is True,
        default_handler=_text(at(containerd, "default_runtime_name")),
        handlers=tuple(_handlers(containerd)),
        opt_directory=opt,
        passed_over=passed_over,
    )


# ----------------------------------------------------------------------------------------------------------------------


def _version(document: Mapping[str, Value]) -> int:
    told = document.get("version")
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 < told < 100 else 1


def _old_table(plugins: Value, version: int) -> Value:
    return at(plugins, _OLD) or (at(plugins, SHORT) if version <= 1 else None)


def _merged(new: Value, old: Value) -> Value:
    """Return *new* with what only *old* says: how containerd takes over old tables, and lays files over each other.

    1.x replaces the table of a plugin as a whole.
    """
    if isinstance(new, list) and isinstance(old, list):
        return [*old, *(one for one in new if one not in old)]
    if not isinstance(new, dict) or not isinstance(old, dict):
        return old if new is None else new
    return {**old, **{name: _merged(value, old.get(name)) for name, value in new.items()}}


def _passed_over(plugins: Value, version: int) -> dict[str, str]:
    """Return where settings of the CRI's stand that count in another version only."""
    found = {}
    for table in (SHORT, _OLD) if version >= 4 else (SHORT,) if version > 1 else ():
        cni, containerd = at(plugins, table, "cni"), at(plugins, table, "containerd")
        for names in (mapping(cni), mapping(containerd)):
            for name, value in names.items():
                if isinstance(value, str):
                    found[f'plugins."{table}" {printable(name)}'] = _text(value)
                elif isinstance(value, dict):
                    found[f'plugins."{table}" {printable(name)}'] = "a table"
    return found


def _handlers(containerd: Value) -> Iterator[RuntimeHandler]:
    for name, told in sorted(mapping(at(containerd, "runtimes")).items()):
        systemd = at(told, "options", "SystemdCgroup")
        yield RuntimeHandler(
            name=printable(name),
            type=_text(at(told, "runtime_type")),
            binary=_text(at(told, "options", "BinaryName")),
            systemd_cgroup=systemd if isinstance(systemd, bool) else None,
        )


def _resolved(pattern: str, parent: str, root: int) -> list[str]:
    """Return the files that an import names: relative to the file it stands in, with `*` those that are there."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(parent), pattern))
    if "*" not in path:
        return [path]
    directory, _, name = path.rpartition("/")
    if "*" in directory:  # directories of directories: nobody has them
        return []
    try:
        names = list_directory(directory or "/", root=root)
    except Absent:
        return []
    return [posixpath.join(directory, one) for one in names if fnmatchcase(one, name)][:_FILES]


def _text(value: Value) -> str:
    return printable(redacted([value])[0]) if isinstance(value, str) else ""


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(text for one in value if (text := _text(one))) if isinstance(value, list) else ()
