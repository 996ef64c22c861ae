from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries import store
from kubedoctor.errors import KubedoctorError, PluginError


def put(tmp_path: Path, name: str, version: str, folder: str = "") -> Path:
    made = tmp_path / "made"
    made.write_text("#!/bin/sh\n")
    return store.install(made, name, version, folder)


def test_installed_binary_is_listed_the_newest_first(tmp_path: Path) -> None:
    for name, version in (("b", "v1.9.0"), ("b", "v1.10.0"), ("a", "odd"), ("b", "v1.10.0-rc.1")):
        put(tmp_path, name, version)
    found = [(entry.name, entry.version) for entry in store.entries()]
    assert found == [("a", "odd"), ("b", "v1.10.0"), ("b", "v1.10.0-rc.1"), ("b", "v1.9.0")]
    assert [entry.version for entry in store.entries("a")] == ["odd"]


def test_what_belongs_together_lies_in_one_directory(tmp_path: Path, cache: Path) -> None:
    paths = {put(tmp_path, name, "v1.9.1", "cni-plugins") for name in ("bridge", "ptp")}
    assert {path.parent for path in paths} == {cache / "bin/cni-plugins/v1.9.1"}
    assert store.is_there("ptp", "v1.9.1", "cni-plugins")
    assert not store.is_there("ptp", "v1.9.1")
    assert [(e.name, e.version, e.folder) for e in store.entries("ptp")] == [("ptp", "v1.9.1", "cni-plugins")]
    assert [entry.name for entry in store.entries()] == ["bridge", "ptp"]


def test_what_belongs_together_is_kept_or_removed_together(tmp_path: Path, cache: Path) -> None:
    for version in ("v1.9.1", "v1.8.0"):
        for name in ("bridge", "ptp"):
            put(tmp_path, name, version, "cni-plugins")
    removed = store.prune({("cni-plugins", "v1.9.1")})
    assert {(entry.name, entry.version) for entry in removed} == {("bridge", "v1.8.0"), ("ptp", "v1.8.0")}
    assert {entry.version for entry in store.entries()} == {"v1.9.1"}
    assert not (cache / "bin/cni-plugins/v1.8.0").exists()


def test_what_is_half_there_does_not_count(tmp_path: Path) -> None:
    path = put(tmp_path, "etcd", "v3.7.3")
    assert store.is_there("etcd", "v3.7.3")
    path.chmod(0o600)
    assert not store.is_there("etcd", "v3.7.3")
    assert store.entries() == []


@pytest.mark.parametrize("part", ["..", "../x", "a/b", "", ".hidden", "a\n", "x" * 200])
def test_names_that_lead_elsewhere_are_refused(part: str) -> None:
    for name, version in ((part, "v1"), ("etcd", part)):
        with pytest.raises(PluginError, match="cannot be part of a path"):
            store.path_of(name, version)
    if part:
        with pytest.raises(PluginError, match="cannot be part of a path"):
            store.path_of("etcd", "v1", part)


def test_prune_removes_what_is_not_kept_and_its_directories(tmp_path: Path, cache: Path) -> None:
    kept, doomed = put(tmp_path, "etcd", "v3.7.3"), put(tmp_path, "etcd", "v3.6.16")
    other = put(tmp_path, "kubectl", "v1.30.0")
    (cache / "download").mkdir()
    (cache / "download" / "abc~part").write_text("x")
    (cache / "build").mkdir()
    (cache / "build" / "m@v1~x").mkdir()
    expected = [("etcd", "v3.6.16"), ("kubectl", "v1.30.0")]
    would = store.prune({("etcd", "v3.7.3")}, dry_run=True)
    assert [(entry.name, entry.version) for entry in would] == expected
    assert doomed.exists()
    removed = store.prune({("etcd", "v3.7.3")})
    assert [(entry.name, entry.version) for entry in removed] == expected
    assert kept.exists()
    assert not doomed.parent.exists()
    assert not other.parent.parent.exists()
    assert [*(cache / "download").iterdir(), *(cache / "build").iterdir()] == []


def test_prune_leaves_alone_what_is_being_fetched(cache: Path) -> None:
    with store.lock("abc"):
        part = store.directory("download") / "abc~part"
        part.write_text("x")
        store.prune(())
        assert part.exists()
    store.prune(())
    assert not part.exists()


def test_prune_of_an_empty_cache_does_nothing(cache: Path) -> None:
    assert store.prune(()) == []
    assert not cache.exists()


def test_lock_tells_that_it_waits(cache: Path) -> None:
    told = []
    (cache / "locks").mkdir(parents=True)
    with (cache / "locks" / "key.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def waiting() -> None:
            told.append("waiting")
            other.close()

        with store.lock("key", waiting):
            pass
    assert told == ["waiting"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_says_how_to_make_room(number: int) -> None:
    with pytest.raises(KubedoctorError, match="is full") as raised, store.clear_errors():
        raise OSError(number, os.strerror(number))
    assert "binaries prune" in raised.value.hint
