"""The network configuration that a container runtime loads, by the rules it loads it with.

containerd takes the files that end in .conf, .conflist or .json, sorted by name; it loads the first `max_conf_num`, and
nothing at all when one of those is broken. CRI-O and cri-dockerd pass over a broken one. In a .conflist stands a list
of plugins, in the others a single plugin.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from typing import Any

from kubedoctor.facts import Absent, Denied, FactError, Look, Malformed, Silent, fact
from kubedoctor.host.errors import printable
from kubedoctor.host.files import FileKind, list_directory, read_file, stat_file
from kubedoctor.records import dataclass

CONFIGURATION = "/etc/cni/net.d"
BINARIES = "/opt/cni/bin"
CNI_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""The versions of the CNI specification: what libcni 1.3 and the plugins 1.9 know."""
LIMIT = 2 << 20
"""Bytes of a file; libcni reads no more."""

_SUFFIXES = (".conf", ".conflist", ".json")
_FILES = 200
_DELEGATING = {"flannel": ("bridge", "host-local")}
"""Plugins that run others unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CniFile:
    """A file of network configuration. `problem` says why it cannot be loaded, in words that fit behind its name.

    `programs` are what it takes to bring up a pod with it, each once: plugins, and what they get addresses from.
    """

    path: str
    network: str = ""
    version: str = ""
    programs: tuple[str, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """Its name in the directory."""
        return posixpath.basename(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class CniLoad:
    """What a runtime makes of a directory: `used` are loaded; `broken` are in the way of them; others are `ignored`."""

    used: tuple[CniFile, ...] = ()
    broken: tuple[CniFile, ...] = ()
    ignored: tuple[CniFile, ...] = ()


@fact("host.cni-files")
def cni_files(look: Look, directory: str, root: int) -> tuple[CniFile, ...]:
    """The files of network configuration in a directory, in the order they are loaded; none without it.

    Raise Denied, Malformed, Silent for the directory; what is wrong with a file is said in it.
    """
    del look
    try:
        names = list_directory(directory, root=root)
    except Absent:
        return ()
    paths = [posixpath.join(directory, name) for name in names if posixpath.splitext(name)[1] in _SUFFIXES]
    paths = [path for path in paths if not _is_directory(path, root)]
    if len(paths) > _FILES:
        raise Malformed(f"{printable(directory)} has more than {_FILES} files of network configuration")
    return tuple(_read(path, root) for path in paths)


def cni_load(files: Sequence[CniFile], *, most: int = 1, passes_over_broken: bool = False) -> CniLoad:
    """Return what a runtime makes of *files*; *most* is how many it loads, 0 for all."""
    used: list[CniFile] = []
    broken: list[CniFile] = []
    for position, one in enumerate(files):
        if one.problem:
            broken.append(one)
            if not passes_over_broken:
                return CniLoad(broken=tuple(broken), ignored=(*used, *files[position + 1 :]))
            continue
        used.append(one)
        if len(used) == most:
            return CniLoad(used=tuple(used), broken=tuple(broken), ignored=tuple(files[position + 1 :]))
    return CniLoad(used=tuple(used), broken=tuple(broken))


def parse_cni(content: bytes, path: str, beside: Sequence[str] | None = None) -> CniFile:
    """Return what a file of network configuration says, its problem included.

    *beside* are the plugins of the files in the directory of the network's name, None when they are not known.
    """
    try:
        document = json.loads(content.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return _broken(path, "is not text in UTF-8")
    except json.JSONDecodeError as problem:
        end = not content.strip() or problem.pos >= len(content.decode().rstrip())
        where = f"line {problem.lineno}, column {problem.colno}"
        if not content.strip():
            return _broken(path, "is empty")
        return _broken(path, f"is not JSON: it ends too early, at {where}" if end else f"is not JSON: {where}")
    except (ValueError, RecursionError):
        return _broken(path, "is not JSON")
    if not isinstance(document, dict):
        return _broken(path, "is not a JSON object")
    return _list(document, path, beside) if path.endswith(".conflist") else _single(document, path)


# ----------------------------------------------------------------------------------------------------------------------


def _is_directory(path: str, root: int) -> bool:
    try:
        return stat_file(path, root=root).kind is FileKind.DIRECTORY
    except FactError:
        return False


def _read(path: str, root: int) -> CniFile:
    try:
        content = read_file(path, root=root, limit=LIMIT)
        told = parse_cni(content, path)
        if told.problem or not path.endswith(".conflist"):
            return told
        return parse_cni(content, path, _beside(posixpath.dirname(path), told.network, root))
    except Absent:
        return _broken(path, "is a symlink that leads nowhere")
    except (Denied, Silent):
        raise
    except Malformed as problem:
        return _broken(path, f"cannot be loaded: {problem.reason}")


def _beside(directory: str, network: str, root: int) -> tuple[str, ...]:
    """Return the plugins in DIRECTORY/NETWORK/*.conf, which are added to a list unless it forbids that."""
    if not network or "/" in network or network in (".", ".."):
        return ()
    below = posixpath.join(directory, network)
    try:
        names = [name for name in list_directory(below, root=root) if name.endswith(".conf")][:_FILES]
    except Absent:
        return ()
    programs: list[str] = []
    for name in names:
        one = parse_cni(read_file(posixpath.join(below, name), root=root, limit=LIMIT), posixpath.join(below, name))
        if one.problem:
            raise Malformed(f"{printable(network)}/{printable(name)} {one.problem}")
        programs += one.programs
    return tuple(programs)


def _broken(path: str, problem: str) -> CniFile:
    return CniFile(path=path, problem=problem)


def _list(document: dict[str, Any], path: str, beside: Sequence[str] | None) -> CniFile:
    name, version = document.get("name"), document.get("cniVersion", "")
    if not isinstance(name, str):
        return _broken(path, "has no `name`" if name is None else "has a `name` that is no text")
    if not isinstance(version, str):
        return _broken(path, "has a `cniVersion` that is no text")
    only_inlined = document.get("loadOnlyInlinedPlugins") in (True, "true", "True", "TRUE")
    plugins = document.get("plugins")
    if plugins is None and "plugins" not in document and not only_inlined:
        if beside is not None and not beside:
            return _broken(path, "has no `plugins`")
        return CniFile(path=path, network=printable(name), version=printable(version), programs=_unique(beside or ()))
    if not isinstance(plugins, list):
        return _broken(path, "has no `plugins`" if "plugins" not in document else "has `plugins` that are no list")
    if not plugins:
        return _broken(path, "has an empty list of `plugins`")
    programs: list[str] = []
    for number, plugin in enumerate(plugins, 1):
        found = _programs(plugin)
        if not found:
            return _broken(path, f"has no `type` in its plugin {number}")
        programs += found
    versions = document.get("cniVersions")
    if versions is not None and not (isinstance(versions, list) and all(isinstance(one, str) for one in versions)):
        return _broken(path, "has `cniVersions` that are no list of versions")
    return CniFile(
        path=path,
        network=printable(name),
        version=printable(_highest(version, versions or [])),
        programs=_unique([*programs, *(() if only_inlined else beside or ())]),
    )


def _single(document: dict[str, Any], path: str) -> CniFile:
    name, version = document.get("name", ""), document.get("cniVersion", "")
    programs = _programs(document)
    if not programs:
        if isinstance(document.get("plugins"), list):
            return _broken(path, "holds a list of plugins, which only a file named .conflist may")
        return _broken(path, "has no `type`")
    if not isinstance(name, str) or not isinstance(version, str):
        return _broken(path, "has a `name` or `cniVersion` that is no text")
    return CniFile(path=path, network=printable(name), version=printable(version), programs=_unique(programs))


def _programs(plugin: object) -> list[str]:
    """Return the programs a plugin takes, itself first; nothing when it has no type."""
    kind = plugin.get("type") if isinstance(plugin, dict) else None
    if not isinstance(plugin, dict) or not isinstance(kind, str) or not kind:
        return []
    ipam, delegate = plugin.get("ipam"), plugin.get("delegate")
    more = [ipam.get("type")] if isinstance(ipam, dict) else []
    if isinstance(delegate, dict) and "type" in delegate:
        more += _programs(delegate)
    elif kind in _DELEGATING:
        more += _DELEGATING[kind]
    return [printable(one) for one in (kind, *more) if isinstance(one, str) and one]


def _highest(version: str, versions: Sequence[str]) -> str:
    """Return the version that is spoken: the highest of those that are known, else what stands there."""
    known = [one for one in CNI_VERSIONS if one in {version, *versions}] if versions else []
    return known[-1] if known else version


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
