from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kubedoctor.cluster import cgroups
from kubedoctor.cluster import place as places
from kubedoctor.cluster.documents import PlaceStatus
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.errors import AlreadyRunning, KubedoctorError
from kubedoctor.jsonform import to_json


def test_held_lock_is_seen_and_refused(place: PlacePaths) -> None:
    assert not places.is_held(place)
    lock = places.acquire(place)
    try:
        assert places.is_held(place)
        assert not places.wait_free(place, 0.05)
        with pytest.raises(AlreadyRunning):
            places.acquire(place, patience=0.05)
    finally:
        os.close(lock)
    assert places.wait_free(place, 0)


def test_lock_is_not_taken_through_a_link(place: PlacePaths, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.touch()
    place.lock.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        places.acquire(place)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": 1}', "\x00\xff", '{"schema_version": "x"}'])
def test_broken_state_is_told_and_does_not_keep_the_place(place: PlacePaths, content: str) -> None:
    place.state.write_bytes(content.encode("latin-1"))
    with pytest.raises(KubedoctorError, match="cannot be read") as told:
        places.read_state(place)
    assert str(place.state) in told.value.hint
    os.close(places.acquire(place))


def test_state_of_a_newer_kubedoctor_is_told(place: PlacePaths) -> None:
    place.state.write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(KubedoctorError, match="newer kubedoctor"):
        places.read_state(place)


def test_process_that_only_has_the_recorded_pid_is_not_touched(place: PlacePaths) -> None:
    from kubedoctor.cluster.documents import ProcessStatus
    from kubedoctor.cluster.identity import boot_id

    ours = ProcessStatus(pid=os.getpid(), start_ticks=1)  # our pid, another start: somebody else long gone
    state = PlaceStatus(name="node-1", kind="sandbox", phase="ready", boot_id=boot_id(), supervisor=ours)
    place.state.write_text(json.dumps(to_json(state)))
    os.close(places.acquire(place))  # we are still here


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="cgroups can be made by root only")
def test_session_cgroup_is_left_and_removed() -> None:
    mounts = cgroups.hierarchies()
    if not mounts:
        pytest.skip("no cgroup hierarchy that a session manager uses is mounted")
    mount, own = mounts[0]
    session = mount / f"kubedoctor-test-session-{os.getpid()}"
    session.mkdir()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            (session / "cgroup.procs").write_text(str(os.getpid()))
            made = cgroups.leave_session(f"test-{os.getpid()}")
            moved = [path for _, path in cgroups.hierarchies() if path.startswith("/kubedoctor-test-")]
            left = str(session.name) not in "".join(moved)
            cgroups.enter_root(made)
            cgroups.remove(made)
            status = 0 if made and left and not any(Path(path).exists() for path in made) else 2
        finally:
            os._exit(status)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        session.rmdir()
    assert own is not None


@pytest.mark.parametrize(
    "path", ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/kubepods", "/tmp/kubedoctor-x"]
)
def test_only_our_own_cgroups_are_removed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []

    def walk(top: str, topdown: bool = True) -> list[tuple[str, list[str], list[str]]]:
        removed.append(top)
        return []

    monkeypatch.setattr(os, "walk", walk)
    cgroups.remove([path, "/sys/fs/cgroup/kubedoctor-a/../memory"])
    assert removed == []
