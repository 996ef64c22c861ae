"""What CRI-O's configuration says of its socket and of networks: its file, then the drop-ins by their names."""

from __future__ import annotations

import posixpath

from kubedoctor.facts import Absent, Look, Malformed, fact
from kubedoctor.host.documents import Value, at
from kubedoctor.host.errors import printable
from kubedoctor.host.files import list_directory, read_file
from kubedoctor.host.redaction import redacted
from kubedoctor.host.toml import parse_toml
from kubedoctor.records import dataclass

FILE = "/etc/crio/crio.conf"
DROP_INS = "/etc/crio/crio.conf.d"
_LIMIT = 512 << 10
_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CrioConfig:
    """What the files say together; empty where they say nothing, and CRI-O takes its default."""

    files: tuple[str, ...] = ()
    socket: str = ""
    cgroup_manager: str = ""  # systemd, cgroupfs
    network_dir: str = ""
    plugin_dirs: tuple[str, ...] = ()
    default_network: str = ""  # the only one that is used, by its name


@fact("host.crio-config")
def crio_config(look: Look, path: str, directory: str, root: int) -> CrioConfig:
    """What CRI-O's file and its drop-ins say of its socket and of networks; none of them has to be there.

    Raise Denied, Malformed.
    """
    del look
    config = CrioConfig()
    for one in (path, *_drop_ins(directory, root)):
        try:
            document = parse_toml(read_file(one, root=root, limit=_LIMIT), one)
        except Absent:
            continue
        config = _laid_over(config, document, one)
    return config


def _drop_ins(directory: str, root: int) -> list[str]:
    try:
        names = list_directory(directory, root=root)
    except Absent:
        return []
    if len(names) > _FILES:
        raise Malformed(f"{printable(directory)} has more than {_FILES} files")
    return [posixpath.join(directory, name) for name in names if not name.startswith(".")]


def _laid_over(below: CrioConfig, document: Value, path: str) -> CrioConfig:
    network = at(document, "crio", "network")
    return CrioConfig(
        files=(*below.files, path),
        socket=_text(at(document, "crio", "api", "listen")) or below.socket,
        cgroup_manager=_text(at(document, "crio", "runtime", "cgroup_manager")) or below.cgroup_manager,
        network_dir=_text(at(network, "network_dir")) or below.network_dir,
        plugin_dirs=_texts(at(network, "plugin_dirs")) or below.plugin_dirs,
        default_network=_text(at(network, "cni_default_network")) or below.default_network,
    )


def _text(value: Value) -> str:
    return printable(redacted([value])[0]) if isinstance(value, str) else ""


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(text for one in value if (text := _text(one))) if isinstance(value, list) else ()
