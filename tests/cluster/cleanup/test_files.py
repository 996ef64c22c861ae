"""What has come into directories goes, and nothing else; links are not followed."""

from __future__ import annotations

import fcntl
from pathlib import Path

from kubedoctor.cluster.cleanup.record import HostRecord
from kubedoctor.cluster.cleanup.traces import clear_one, look, tell
from kubedoctor.components import Cleanup, Trace

RECORD = HostRecord(boot_id="")


def cleared(tmp_path: Path, cleanup: Cleanup, *made: str) -> list[str]:
    """Return the lines that tell of what goes when files were *made* after the look, and let it go."""
    before = look(cleanup)
    for name in made:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    told = tell(before, RECORD)
    clear_one(before, RECORD)
    assert tell(before, RECORD) == []
    return told


def test_new_directory_goes_with_parents_made_for_it(tmp_path: Path) -> None:
    own = tmp_path / "lib" / "kubelet"
    told = cleared(tmp_path, Cleanup(trace=Trace.DIRECTORY, name=str(own)), "lib/kubelet/pods/1/volumes/a")
    assert told == [f"would remove {own}"]
    assert list(tmp_path.iterdir()) == []


def test_parent_that_others_use_stays(tmp_path: Path) -> None:
    own = tmp_path / "lib" / "kubelet"
    cleared(tmp_path, Cleanup(trace=Trace.DIRECTORY, name=str(own)), "lib/kubelet/a", "lib/other/b")
    assert (tmp_path / "lib" / "other" / "b").exists()
    assert not own.exists()


def test_what_was_in_a_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "kubelet" / "pods" / "theirs").mkdir(parents=True)
    (tmp_path / "kubelet" / "config.yaml").write_text("theirs")
    trace = Cleanup(trace=Trace.DIRECTORY, name=str(tmp_path / "kubelet"))
    told = cleared(tmp_path, trace, "kubelet/pods/ours/a", "kubelet/pki/key", "kubelet/pods/theirs/deep")
    assert told == [f"would remove {tmp_path}/kubelet/pki", f"would remove {tmp_path}/kubelet/pods/ours"]
    assert (tmp_path / "kubelet" / "config.yaml").read_text() == "theirs"
    assert (tmp_path / "kubelet" / "pods" / "theirs" / "deep").exists()


def test_link_goes_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("")
    before = look(Cleanup(trace=Trace.DIRECTORY, name=str(tmp_path / "ours")))
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    clear_one(before, RECORD)
    assert not (tmp_path / "ours").is_symlink()
    assert (tmp_path / "theirs" / "file").exists()


def test_empty_directory_goes_and_a_used_one_stays(tmp_path: Path) -> None:
    shared = Cleanup(trace=Trace.EMPTY, name=str(tmp_path / "cni" / "net.d"))
    before = look(shared)
    (tmp_path / "cni" / "net.d").mkdir(parents=True)
    (tmp_path / "cni" / "net.d" / "mine.conflist").write_text("")
    clear_one(before, RECORD)
    assert (tmp_path / "cni" / "net.d" / "mine.conflist").exists()
    (tmp_path / "cni" / "net.d" / "mine.conflist").unlink()
    clear_one(before, RECORD)
    assert not (tmp_path / "cni").exists()


def test_file_that_is_locked_is_somebody_elses_by_now(tmp_path: Path) -> None:
    before = look(Cleanup(trace=Trace.FILE, name=str(tmp_path / "xtables.lock")))
    with (tmp_path / "xtables.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clear_one(before, RECORD)
        assert (tmp_path / "xtables.lock").exists()
    clear_one(before, RECORD)
    assert list(tmp_path.iterdir()) == []


def test_file_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cleared(tmp_path, Cleanup(trace=Trace.FILE, name=str(tmp_path / "file"))) == []
    assert (tmp_path / "file").exists()


def test_network_with_a_reservation_stays(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    trace = Cleanup(trace=Trace.RESERVATIONS, name=str(tmp_path))
    idle = ("idle/lock", "idle/last_reserved_ip.0")
    told = cleared(tmp_path, trace, *idle, "used/lock", "used/10.1.0.5", "before/lock")
    assert told == [f"would remove {tmp_path}/idle"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "used"]
