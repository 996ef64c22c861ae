"""A cluster's entries in the kubeconfig of a person: put in, kept right, taken out again without a trace.

While nobody else changed the file, it becomes byte for byte what it was; otherwise the entries are taken out by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml

from kubedoctor.cluster.kubeconfig import Access, Entries, EntryNames, embed_file, entries, entry_names
from kubedoctor.cluster.kubeconfig_record import MergedFile, digest, hunks, put_back, read_record, remember
from kubedoctor.cluster.kubeconfig_text import current_context, is_bare, with_entries, without_entries
from kubedoctor.cluster.paths import ClusterPaths, home
from kubedoctor.cluster.persons_file import Person, PersonsFile, owner_of, person, sudo_caller
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The file that was changed, its mode, and the context's name in it."""

    path: Path
    mode: int
    context: str


def target_file(environment: Mapping[str, str]) -> PersonsFile:
    """Return the file to merge into: the first of $KUBECONFIG that is not a cluster's own, else ~/.kube/config.

    Under sudo it is the caller's.
    """
    caller = sudo_caller(environment)
    named = [Path(entry).absolute() for entry in environment.get("KUBECONFIG", "").split(os.pathsep) if entry]
    path = next((entry for entry in named if not entry.is_relative_to(home())), None)
    if path is None:
        path = (caller.home if caller else Path.home()) / ".kube" / "config"
    return PersonsFile(path, caller or owner_of(path))


def merge(paths: ClusterPaths, *, kubeconfig: Path, environment: Mapping[str, str]) -> Merged:
    """Put the entries of *kubeconfig*, the administrator's of the cluster, into the person's file; make them current.

    Keys and certificates are embedded. Merging again replaces what was merged before.
    """
    return _merge_into(paths, target_file(environment), kubeconfig, choose=True)


def refresh(paths: ClusterPaths, *, kubeconfig: Path) -> tuple[Merged, ...]:
    """Renew the entries wherever they were merged, after certificates or the address changed; current contexts stay."""
    merged = []
    for entry in read_record(paths).files:
        file = _recorded(entry)
        text = file.read()
        if text is None:
            continue
        chosen = current_context(file.path, text) == entry_names(paths.name).context
        merged.append(_merge_into(paths, file, kubeconfig, choose=chosen))
    return tuple(merged)


def unmerge(paths: ClusterPaths) -> tuple[Path, ...]:
    """Take the cluster's entries out of every file they were merged into, and return these files.

    The current context becomes what it was before if it is ours. Raise KubedoctorError for a file that cannot be
    changed; the others are done, and what is left stays on record.
    """
    changed: list[Path] = []
    problems: list[KubedoctorError] = []
    for entry in read_record(paths).files:
        try:
            if _unmerge_from(paths, entry):
                changed.append(Path(entry.file))
            remember(paths, entry.file, None)
        except KubedoctorError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    return tuple(changed)


def embedded(kubeconfig: Path, names: EntryNames) -> Entries:
    """Return the entries of a cluster's own *kubeconfig* under *names*, with everything they refer to inside."""
    try:
        data = yaml.safe_load(kubeconfig.read_text())
        cluster, user = data["clusters"][0]["cluster"], data["users"][0]["user"]
        access = Access(
            server=str(cluster["server"]),
            authority=_inside(cluster, "certificate-authority"),
            certificate=_inside(user, "client-certificate"),
            key=_inside(user, "client-key"),
        )
    except OSError as problem:
        raise KubedoctorError(
            f"{kubeconfig} cannot be read: {problem.strerror or problem}", hint="`kubedoctor up` writes it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError):
        raise KubedoctorError(
            f"{kubeconfig} was changed by another program", hint="`kubedoctor up` writes it anew"
        ) from None
    return entries(names, access, embed=True)


def _inside(entry: Mapping[str, str], name: str) -> str:
    data = entry.get(f"{name}-data")
    return str(data) if data is not None else embed_file(Path(entry[name]))


def _merge_into(paths: ClusterPaths, file: PersonsFile, kubeconfig: Path, *, choose: bool) -> Merged:
    names = entry_names(paths.name)
    items = embedded(kubeconfig, names)
    earlier = next((entry for entry in read_record(paths).files if entry.file == str(file.path)), None)
    with file.locked() as made_directory:
        there = file.read()
        original = there if earlier is None or there is None else _undone(file.path, there, earlier, names)
        text = with_entries(file.path, original or "", items, names, choose=choose)
        created = there is None or (earlier is not None and earlier.created)
        entry = MergedFile(
            file=str(file.path),
            uid=file.who.uid if file.who else os.geteuid(),
            gid=file.who.gid if file.who else os.getegid(),
            sha256=digest(text),
            created=created,
            created_directory=made_directory or (earlier is not None and earlier.created_directory),
            previous=current_context(file.path, original or ""),
            undo=hunks(original or "", text),
        )
        remember(paths, entry.file, entry)  # first: what is on record and not in the file does no harm
        mode = file.write(text)
    return Merged(path=file.path, mode=mode, context=names.context)


def _unmerge_from(paths: ClusterPaths, entry: MergedFile) -> bool:
    file, names = _recorded(entry), entry_names(paths.name)
    if file.read() is None:
        return False
    with file.locked():
        there = file.read()
        if there is None:
            return False
        text = _undone(file.path, there, entry, names)
        if entry.created and is_bare(text):
            file.remove()
        elif text != there:
            file.write(text)
    if entry.created_directory:
        file.remove_directory()
    return text != there


def _undone(path: Path, text: str, entry: MergedFile, names: EntryNames) -> str:
    if digest(text) == entry.sha256:
        return put_back(text, entry.undo)
    return without_entries(path, text, names, previous=entry.previous)


def _recorded(entry: MergedFile) -> PersonsFile:
    who: Person | None = None
    if os.geteuid() == 0 and entry.uid != 0:
        who = person(entry.uid, entry.gid)
    return PersonsFile(Path(entry.file), who)
