"""Which cached binaries clusters run, so that none of them is removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from kubedoctor.cluster.paths import PlacePaths, cache, clusters
from kubedoctor.cluster.place import is_held
from kubedoctor.errors import KubedoctorError


def in_use(*, running_only: bool) -> set[tuple[str, str]]:
    """Return the (folder, version) of cached binaries that are in the plans of clusters, or of those that run now.

    What a plan names anywhere counts, the configuration of a container runtime for instance, and kubectl in the version
    of the cluster. Raise KubedoctorError for a plan that cannot be read: it is not known then.
    """
    held: set[tuple[str, str]] = set()
    for place in _places():
        if running_only and not is_held(place):
            continue
        held |= set(_in_plan(place))
    return held


def _places() -> Iterator[PlacePaths]:
    for cluster in clusters():
        if cluster.places.is_dir():
            yield from (cluster.place(entry.name) for entry in cluster.places.iterdir() if entry.is_dir())


def _in_plan(place: PlacePaths) -> Iterator[tuple[str, str]]:
    try:
        plan = json.loads(place.plan.read_bytes())
        yield "kubectl", str(plan["kubernetes"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise KubedoctorError(
            f"{place.plan} cannot be read, so it is not known which binaries are in use",
            hint="look at the file, or remove that cluster with `kubedoctor down --delete`",
        ) from problem
    named = re.compile(re.escape(f"{cache()}/bin/") + r"([\w.+-]+)/([\w.+-]+)", re.ASCII)
    for text in _texts(plan):
        yield from ((found[1], found[2]) for found in named.finditer(text))


def _texts(value: object) -> Iterator[str]:
    """Return every string in a JSON document but keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
