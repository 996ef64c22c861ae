"""The text of a person's kubeconfig with a cluster's entries in it, or without them; nothing else changed.

Every result is parsed and held against what was wanted: a layout that the editing misjudges is refused, never damaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from kubedoctor.cluster.kubeconfig import Entries, EntryNames, scalar
from kubedoctor.cluster.yaml_edit import CURRENT, SECTIONS, Document, LayoutError
from kubedoctor.errors import KubedoctorError


def with_entries(path: Path, text: str, items: Entries, names: EntryNames, *, choose: bool) -> str:
    """Return *text* with *items* in it, and nothing else changed: held against what a parser says of both."""
    wanted = _parse(path, text) or {"apiVersion": "v1", "kind": "Config"}
    try:
        document = Document(text)
        document.begin()
        for section, name, item in zip(
            SECTIONS, _names(names), (items.cluster, items.context, items.user), strict=True
        ):
            document.put(section, name, item)
            _replace_named(wanted, section, name, yaml.safe_load("\n".join(item))[0])
        if choose:
            document.choose(scalar(names.context))
            wanted[CURRENT] = names.context
        result = document.text()
    except LayoutError as problem:
        raise _not_edited(path, str(problem)) from None
    return _verified(path, result, wanted)


def without_entries(path: Path, text: str, names: EntryNames, *, previous: str) -> str:
    """Return *text* without the entries of *names*; if their context is the current one, *previous* becomes it."""
    wanted = _parse(path, text)
    try:
        document = Document(text)
        for section, name in zip(SECTIONS, _names(names), strict=True):
            document.take_out(section, name)
            if wanted.get(section):
                wanted[section] = [item for item in wanted[section] if item.get("name") != name]
        if wanted.get(CURRENT) == names.context:
            left = {item.get("name") for item in wanted.get("contexts") or ()}
            wanted[CURRENT] = previous if previous in left else ""
            document.choose(scalar(wanted[CURRENT]))
        result = document.text()
    except LayoutError as problem:
        raise _not_edited(path, str(problem)) from None
    return _verified(path, result, wanted)


def is_bare(text: str) -> bool:
    """Return whether *text* configures nothing."""
    try:
        return not text.strip() or Document(text).is_bare
    except LayoutError:
        return False


def current_context(path: Path, text: str) -> str:
    """Return the current context, "" when there is none."""
    return str(_parse(path, text).get(CURRENT) or "")


def _names(names: EntryNames) -> tuple[str, str, str]:
    return names.cluster, names.context, names.user


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _not_edited(path, "is not YAML that can be read") from None
    if data is None:
        return {}
    sections = [data.get(section) or [] for section in SECTIONS] if isinstance(data, dict) else [None]
    if not all(isinstance(items, list) and all(isinstance(item, dict) for item in items) for items in sections):
        raise _not_edited(path, "is not a kubeconfig")
    return dict(data)


def _replace_named(data: dict[str, Any], section: str, name: str, item: object) -> None:
    others = data.get(section) or []
    places = [index for index, other in enumerate(others) if other.get("name") == name]
    kept = [other for index, other in enumerate(others) if index not in places[1:]]
    if places:
        kept[places[0]] = item
    else:
        kept.append(item)
    data[section] = kept


def _verified(path: Path, text: str, wanted: dict[str, Any]) -> str:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if found != wanted and not (found is None and not wanted):
        raise _not_edited(path, "has a layout that is not understood")
    return text


def _not_edited(path: Path, problem: str) -> KubedoctorError:
    return KubedoctorError(
        f"{path} {problem}; it was left as it is",
        hint='use both files side by side: export KUBECONFIG="$(kubedoctor kubeconfig):$HOME/.kube/config"\n'
        "or let kubectl lay it out anew: kubectl config view --raw > FILE",
    )
