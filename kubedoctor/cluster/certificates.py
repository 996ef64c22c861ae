"""The certificates of a cluster that is there: renewed, with the kubeconfigs that embed them, and who uses them."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path

from kubedoctor.cluster import clusterfile
from kubedoctor.cluster.documents import Plan, PlannedComponent
from kubedoctor.cluster.files import read_json, write_atomically
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.cluster.pki import Issued
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import from_json
from kubedoctor.records import dataclass

_ENDINGS = (".crt", ".key", ".pub")


@dataclass(frozen=True, slots=True)
class Renewal:
    """What was renewed, and the components that read it when they started."""

    issued: Issued
    components: tuple[str, ...]


def settled(paths: ClusterPaths) -> ClusterConfig:
    """Return a configuration that knows where the cluster's files lie, CERT_DIR included; all else is default."""
    record = clusterfile.read(paths)
    return ClusterConfig(name=paths.name, directory=paths.directory, cert_dir=record.cert_dir if record else "")


def renew(paths: ClusterPaths, names: Iterable[str]) -> Renewal:
    """Renew the certificates called *names* (see `pki.renew`), or every leaf when there is none.

    Kubeconfigs of the cluster that hold what was renewed hold the new one when this returns.
    """
    from kubedoctor.cluster.pki.renew import leaf_names, renew_named

    config = settled(paths)
    directory = Path(config.pki(""))
    if not directory.is_dir():
        raise KubedoctorError(f"{directory} holds no certificates yet", hint="`kubedoctor up` makes them")
    names = tuple(names) or leaf_names(directory)
    before = _contents(directory)
    issued = renew_named(directory, names, cluster=paths.name)
    _embed_anew(Path(config.kubeconfig("admin")).parent, before, _contents(directory))
    return Renewal(issued, users_of(paths, directory, issued.renewed))


def _contents(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.suffix in _ENDINGS and path.is_file() and not path.is_symlink()
    }


def _embed_anew(directory: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    changed = [(old, after[name]) for name, old in before.items() if name in after and after[name] != old and old]
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if path.suffix in _ENDINGS or path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes()
        renewed = text
        for old, new in changed:
            renewed = renewed.replace(base64.b64encode(old), base64.b64encode(new))
        if renewed != text:
            found = path.stat()
            write_atomically(path, renewed)
            os.chown(path, found.st_uid, found.st_gid, follow_symlinks=False)  # the caller of sudo may own it


def users_of(paths: ClusterPaths, directory: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Return the components of the plan whose flags, files or kubeconfigs name one of the certificates *names*."""
    files = tuple(f"{directory / name}{ending}" for name in names for ending in _ENDINGS)
    components = [component for plan in _plans(paths) for component in plan.components]
    kubeconfigs = _kubeconfigs(Path(settled(paths).kubeconfig("admin")).parent)
    return tuple(dict.fromkeys(one.name for one in components if _uses(one, files, kubeconfigs)))


def _uses(component: PlannedComponent, files: tuple[str, ...], kubeconfigs: dict[str, str]) -> bool:
    text = "\n".join([*component.argv, *component.env.values(), *(file.content for file in component.files)])
    text += "".join(content for path, content in kubeconfigs.items() if path in text)
    return any(file in text for file in files)


def _kubeconfigs(directory: Path) -> dict[str, str]:
    if not directory.is_dir():
        return {}
    paths = (path for path in directory.iterdir() if path.suffix not in _ENDINGS and path.is_file())
    return {str(path): path.read_text(errors="replace") for path in paths}


def _plans(paths: ClusterPaths) -> list[Plan]:
    plans = []
    for place in sorted(paths.places.iterdir()) if paths.places.is_dir() else ():
        try:
            plans.append(from_json(Plan, read_json(place / "plan.json")))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except ValueError as problem:
            raise KubedoctorError(
                f"{place / 'plan.json'} cannot be read: {problem}", hint="`kubedoctor up` writes it anew"
            ) from None
    return plans
