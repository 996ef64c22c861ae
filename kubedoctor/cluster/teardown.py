"""Stopping a cluster and removing what belongs to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kubedoctor.cluster import bringup, clusterfile, subordinate
from kubedoctor.cluster import place as places
from kubedoctor.cluster.cleanup.record import has_record
from kubedoctor.cluster.cleanup.run import what_would_go
from kubedoctor.cluster.control import ControlClient
from kubedoctor.cluster.documents import Phase, PlannedComponent
from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.paths import ClusterPaths, PlacePaths
from kubedoctor.cluster.settling import read_plan
from kubedoctor.errors import KubedoctorError
from kubedoctor.jsonform import to_json

PATIENCE = 35.0
"""Seconds for an orderly end; the keeper itself kills what is left after 30."""


def stop(cluster: ClusterPaths) -> bool:
    """Stop every place of *cluster* and return whether one ran; when it returns, nothing of it is left running.

    The wishes of the `up` that started it are forgotten, ports and data kept (unless it was a throw-away cluster).
    """
    ran = [_stop_place(place) for place in _places(cluster)]
    record = clusterfile.read(cluster)
    if record is not None and (record.flags or record.environment or not record.preserve):
        if not record.preserve:
            _throw_data_away(cluster)
            record = replace(record, data_versions={})
        try:
            clusterfile.write(cluster, replace(record, flags={}, environment={}, preserve=True))
        except OSError as problem:
            raise KubedoctorError(
                f"cluster `{cluster.name}` is stopped, but {cluster.record} cannot be written: {problem.strerror}",
                hint="the options of its `up` hold on: mend that, then `kubedoctor down` again",
            ) from None
    return any(ran)


def _places(cluster: ClusterPaths) -> list[PlacePaths]:
    try:
        names = sorted(entry.name for entry in os.scandir(cluster.places) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    return [cluster.place(name) for name in names]


def _stop_place(place: PlacePaths) -> bool:
    if not places.is_held(place):
        _clear(place)
        return False
    try:
        with ControlClient(place.socket) as keeper:
            bringup.stop(keeper, place, patience=PATIENCE)
    except KubedoctorError:
        # It has ended meanwhile (another `down`, an `up` that was interrupted) …
        if not places.wait_free(place, 1.0):
            # … or its keeper does not answer: end it the hard way, the kernel takes the rest along.
            state = places.read_state(place)
            if state is not None:
                bringup.kill_keeper(state)
            if not places.wait_free(place, places.PATIENCE):
                raise
            _clear(place)
    # A keeper that was killed meanwhile leaves its socket and cgroups. One that could not remove all from the host has
    # it on record: what is tried again here, or told.
    if place.socket.exists() or has_record(place):
        _clear(place)
    return True


def _clear(place: PlacePaths) -> None:
    """Remove what a killed keeper left, if it left something, and record that the place was brought down."""
    if place.directory.is_dir() and os.access(place.directory, os.W_OK):
        lock = places.acquire(place)
        try:
            place.socket.unlink(missing_ok=True)
            _record_end(place)
        finally:
            os.close(lock)


def _record_end(place: PlacePaths) -> None:
    """Let the record of a place whose keeper could not do so say that it is stopped, and nothing of a failure."""
    try:
        state = places.read_state(place)
    except KubedoctorError:
        return  # `up` tells about it
    if state is not None and (state.phase != Phase.STOPPED or state.failure):
        with contextlib.suppress(OSError):  # a full disk does not keep anybody from bringing a cluster down
            write_atomically(place.state, json.dumps(to_json(replace(state, phase=Phase.STOPPED.value, failure=""))))


def _throw_data_away(cluster: ClusterPaths) -> None:
    """Remove what components stored; of a directory the user named (ETCD_DIR) only what is known to be theirs."""
    for place in _places(cluster):
        with contextlib.suppress(OSError):
            _remove_tree(place.data)
        for path in (path for component in _components(place) for path in component.data):
            try:
                _remove_tree(Path(path))
            except FileNotFoundError:
                continue
            except OSError as problem:
                raise KubedoctorError(f"the data in {path} cannot be removed: {problem.strerror or problem}") from None


def _components(place: PlacePaths) -> tuple[PlannedComponent, ...]:
    try:
        return read_plan(place).components
    except KubedoctorError:  # nothing was ever started there, or its plan is broken: `up` tells
        return ()


def remove(cluster: ClusterPaths) -> Iterator[str]:
    """Remove the directory of a stopped cluster and its entry in people's kubeconfigs; yield what is left to the user.

    Directories that the user named (CERT_DIR, LOG_DIR, ETCD_DIR) hold other things too: they are not touched.
    """
    from kubedoctor.cluster.kubeconfig_merge import unmerge

    for path in unmerge(cluster):
        yield f"its entry in {path} was taken out"
    yield from (f"{path} is yours and stays" for path in _named_by_user(cluster))
    _refuse_strange(cluster.directory)
    _remove_tree(cluster.directory)


def _remove_tree(directory: Path) -> None:
    """Remove a directory; in an ordinary user's some files belong to users that only the sandbox had."""
    try:
        shutil.rmtree(directory)
    except PermissionError:
        if os.geteuid() == 0 or subordinate.refusal():
            raise
        subordinate.remove_tree(directory)


def _refuse_strange(directory: Path) -> None:
    """Raise KubedoctorError for a directory that is a link or another user's: what is behind it is not ours."""
    found = directory.lstat()
    if directory.is_symlink() or found.st_uid != os.geteuid():
        raise KubedoctorError(f"{directory} is not a directory of this user's", hint=f"look at it: ls -ld {directory}")


def _named_by_user(cluster: ClusterPaths) -> list[str]:
    record = clusterfile.read(cluster)
    named = [record.cert_dir, record.log_dir] if record else []
    for place in _places(cluster):
        named += [directory for component in _components(place) for directory in component.directories]
    return sorted({path for path in named if path and not Path(path).is_relative_to(cluster.directory)})


def what_would_end(cluster: ClusterPaths, *, delete: bool) -> Iterator[str]:
    """Yield a line for each process `down` would end and each thing it would remove."""
    for place in _places(cluster):
        state = places.read_state(place) if places.is_held(place) else None
        if state is None:
            yield f"cluster `{cluster.name}` does not run"
            yield from what_would_go(place)
            continue
        for component in reversed(state.components):
            if component.pid:
                yield f"would stop {component.name} (pid {component.pid})"
        yield f"would end supervisor (pid {state.supervisor.pid}) and keeper (pid {state.keeper.pid})"
        yield from what_would_go(place)
    if delete and cluster.directory.exists():
        yield f"would remove {cluster.directory}"
        yield from (f"would leave {path}, which you named" for path in _named_by_user(cluster))
