"""The record: taken once, kept to what could not be removed, gone when nothing is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kubedoctor.cluster.cleanup import machine
from kubedoctor.cluster.cleanup.record import Before, HostRecord, has_record, read, write
from kubedoctor.cluster.cleanup.run import clear, take, what_would_go
from kubedoctor.cluster.identity import boot_id
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.components import Cleanup, Trace
from kubedoctor.errors import KubedoctorError


@pytest.fixture
def place(tmp_path: Path) -> PlacePaths:
    (tmp_path / "place").mkdir()
    return PlacePaths(tmp_path / "place")


def file(path: Path) -> Cleanup:
    return Cleanup(trace=Trace.FILE, name=str(path))


def test_second_look_does_not_take_what_has_come_for_what_was_there(place: PlacePaths, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    take(place, [file(first)], cgroup="ours")
    first.write_text("")
    take(place, [file(first), file(second)], cgroup="ours")
    second.write_text("")
    assert list(what_would_go(place)) == [f"would remove {first}", f"would remove {second}"]
    clear(place)
    assert (first.exists(), second.exists(), has_record(place)) == (False, False, False)


def with_pods(place: PlacePaths, socket: Path, *cleanups: Cleanup, boot: str) -> None:
    """Write a record that tells of pods, too, in a runtime that is not there any more."""
    take(place, cleanups, cgroup="ours")
    record = read(place) or HostRecord(boot_id=boot)
    pods = Before(trace=Trace.PODS.value, name=str(socket))
    write(place, replace(record, boot_id=boot, traces=(pods, *record.traces)))


def test_what_cannot_be_removed_stays_on_record_and_is_named(place: PlacePaths, tmp_path: Path) -> None:
    free, socket = tmp_path / "free", tmp_path / "containerd.sock"
    with_pods(place, socket, file(free), boot=boot_id())
    free.write_text("what the runtime needs to end the pods")
    for _ in range(2):
        with pytest.raises(KubedoctorError, match=f"left on this machine: there is no container runtime at {socket}"):
            clear(place)
    assert free.exists()
    record = read(place)
    assert record is not None
    assert [one.name for one in record.traces] == [str(socket), str(free)]
    told = [f"cannot tell: there is no container runtime at {socket}", f"would remove {free}"]
    assert list(what_would_go(place)) == told


def test_pods_ended_with_the_machine_when_it_was_started_anew(place: PlacePaths, tmp_path: Path) -> None:
    with_pods(place, tmp_path / "containerd.sock", boot="another")
    clear(place)
    assert not has_record(place)


def test_place_without_record_has_nothing_to_clear(place: PlacePaths) -> None:
    clear(place)
    assert list(what_would_go(place)) == []


def test_broken_record_is_told_and_kept(place: PlacePaths) -> None:
    (place.directory / "host.json").write_text("{")
    with pytest.raises(KubedoctorError, match=r"host\.json cannot be read"):
        clear(place)
    assert has_record(place)


@pytest.mark.parametrize(
    ("now", "put_back"),
    [("1", True), ("0", False), ("7", False)],
    ids=["as the cluster set it", "as before", "changed by somebody"],
)
def test_setting_is_put_back_unless_somebody_changed_it(
    place: PlacePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str, put_back: bool
) -> None:
    monkeypatch.setattr(machine, "_SETTINGS", tmp_path)
    setting = tmp_path / "panic"
    setting.write_text("0\n")
    take(place, [Cleanup(trace=Trace.SETTING, name="panic", value="1")], cgroup="")
    setting.write_text(f"{now}\n")
    assert list(what_would_go(place)) == (["would set panic back to 0"] if put_back else [])
    clear(place)
    assert setting.read_text().strip() == ("0" if put_back else now)
